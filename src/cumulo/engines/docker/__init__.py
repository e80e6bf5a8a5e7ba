"""Pods in any daemon that speaks Docker's API: Docker, Podman, Colima."""
