"""The registry: OCI's distribution specification 1.1 (and Docker's before it) at /v2/."""
