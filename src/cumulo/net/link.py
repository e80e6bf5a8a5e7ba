"""Who is at the other end of an accepted connection."""

import asyncio

from cumulo.net.messages import Link, Tls


def link_of(transport: asyncio.BaseTransport, port: int) -> Link:
    """The facts of a connection; `port` is taken for the local one where a transport does not say (unix sockets)."""
    peer = transport.get_extra_info("peername")
    local = transport.get_extra_info("sockname")
    secure = transport.get_extra_info("ssl_object")
    tls = None
    if secure is not None:
        cipher = secure.cipher()
        tls = Tls(secure.version() or "", cipher[0] if cipher else "")
    known = isinstance(peer, tuple) and len(peer) >= 2
    inet = isinstance(local, tuple) and len(local) >= 2
    return Link(
        peer=peer[0] if known else "",
        peer_port=peer[1] if known else 0,
        scheme="http" if secure is None else "https",
        local_port=local[1] if inet else port,
        local_address=local[0] if inet else "",
        tls=tls,
    )
