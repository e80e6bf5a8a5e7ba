"""What an API is, as deployments keep it: frozen, whole, and enough to answer requests from."""
