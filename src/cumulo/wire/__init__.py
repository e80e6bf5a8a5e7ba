"""AWS bytes to plain values and back: the HTTP server, routing, signatures, protocols, validation, errors."""
