"""API Gateway's HTTP and WebSocket APIs: the control plane."""
