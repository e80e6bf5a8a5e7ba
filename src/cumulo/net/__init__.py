"""Carries traffic: a reverse proxy for HTTP and WebSocket, and fronts for TCP and UDP.  Knows nothing of AWS."""
