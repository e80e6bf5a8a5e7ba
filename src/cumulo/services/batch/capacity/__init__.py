"""Keeps compute environments and the world in step: clusters, instances, and what the scheduler knows of them."""
