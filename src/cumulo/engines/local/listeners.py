"""Sockets that listen inside a pod at an address that is not its own, without taking the port from its containers.

A socket at 169.254.170.2:80 keeps everybody from binding *:80, which is where web servers bind.  So the socket has
another port, and a rule of the pod's namespace leads there what goes to the one that was asked for.
"""

import contextlib
import shutil
import socket
import subprocess
import zlib

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BACKLOG = 128
_FIRST, _COUNT = 61_000, 4_000  # above the ports that clients take
_ATTEMPTS = 8
_WELL_KNOWN = 1024
_SECONDS_MAX = 5.0


def open_listener(address: str, port: int) -> socket.socket:
    """A socket that who is in this thread's network namespace reaches at address:port.  OSError.

    At 127.0.0.0/8, and from 1024 on, it has the very port: there is room for everybody.
    """
    nft = shutil.which("nft", path=SEARCH)
    if address.startswith("127.") or port >= _WELL_KNOWN or nft is None:
        return _bound(address, port)
    listener = _aside(address, port)
    try:
        _lead(nft, address, port, int(listener.getsockname()[1]))
    except (OSError, subprocess.SubprocessError):
        listener.close()
        return _bound(address, port)
    return listener


def _aside(address: str, port: int) -> socket.socket:
    """A socket at a port that nobody asks for."""
    last: OSError | None = None
    for attempt in range(_ATTEMPTS):
        number = zlib.crc32(f"{address}:{port}:{attempt}".encode()) % _COUNT
        try:
            return _bound(address, _FIRST + number)
        except OSError as error:
            last = error
    assert last is not None
    raise last


def _bound(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.ExitStack() as unless_good:
        unless_good.callback(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        unless_good.pop_all()
    return listener


def _lead(nft: str, address: str, port: int, there: int) -> None:
    """Lead what goes to address:port to another port; takes the place of where it was led before."""
    table = f"cumulo-inside-{socket.inet_aton(address).hex()}-{port}"
    rules = f"""
table ip {table}
delete table ip {table}
table ip {table} {{
  chain out {{
    type nat hook output priority -100
    ip daddr {address} tcp dport {port} dnat to {address}:{there}
  }}
}}
"""
    subprocess.run(
        [nft, "-f", "-"],
        input=rules.encode(),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS_MAX,
    )
