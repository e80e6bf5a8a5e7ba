"""The bodies of EC2's instances: what of this machine each one is, and what runs in it."""
