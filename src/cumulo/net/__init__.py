"""Carries traffic: a reverse proxy for HTTP and WebSocket, and one for TCP.  Knows nothing of AWS."""
