"""Keeps services running: deployments, what they decide, and who carries it out."""
