"""Sandboxes of functions as containers: `sandbox/contract.py` on top of `engines/engine.py`."""
