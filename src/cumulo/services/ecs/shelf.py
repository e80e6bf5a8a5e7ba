"""The shelf, from where it lives: `cumulo.state.shelf`."""

from cumulo.state.shelf import Shelf

__all__ = ["Shelf"]
