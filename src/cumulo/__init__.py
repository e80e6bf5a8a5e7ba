"""Cumulo: a compute cloud of your own that speaks the AWS APIs and really runs what it is given."""

__version__ = "0.1.0"
