"""How this machine runs each Lambda runtime: what AWS has (`catalog`), and what is here (`HostRuntimes`)."""

from cumulo.sandbox.runtimes.host import HostRuntimes

__all__ = ["HostRuntimes"]
