"""Builds every object once, by hand, top to bottom."""
