"""Sockets that listen inside a pod at an address that is not its own, without taking the port from its containers.

A socket at 169.254.170.2:80 keeps everybody from binding *:80, which is where web servers bind.  So the socket has
another port, and a rule of the pod's namespace leads there what goes to the one that was asked for.
"""

import contextlib
import socket
import zlib

from cumulo.engines.local import redirects

OWN = "127.0.0.1"  # the pod's: whoever listens there means to take the port
BACKLOG = 128
_FIRST, _COUNT = 61_000, 4_000  # above the ports that clients take
_ATTEMPTS = 8


def open_listener(address: str, port: int) -> socket.socket:
    """A socket that who is in this thread's network namespace, which is a pod's, reaches at address:port.  OSError.

    At 127.0.0.1 it has the very port.
    """
    if address == OWN:
        return bound(address, port)
    listener = _aside(address, port)
    try:
        redirects.lead(address, port, int(listener.getsockname()[1]))
    except OSError:  # a kernel that cannot: then the port is taken
        listener.close()
        return bound(address, port)
    return listener


def _aside(address: str, port: int) -> socket.socket:
    """A socket at a port that nobody asks for."""
    last: OSError | None = None
    for attempt in range(_ATTEMPTS):
        number = zlib.crc32(f"{address}:{port}:{attempt}".encode()) % _COUNT
        try:
            return bound(address, _FIRST + number)
        except OSError as error:
            last = error
    assert last is not None
    raise last


def bound(address: str, port: int) -> socket.socket:
    """A socket that listens at address:port, and has it.  OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.ExitStack() as unless_good:
        unless_good.callback(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        unless_good.pop_all()
    return listener
