"""What clients and backends may ask of one front."""

from typing import Final

import msgspec

from cumulo.base import limits as house

REPLAY_BYTES_MAX: Final = 64 * 1024  # of a body that is kept until the backend says its first byte
KNOWN_BYTES_MAX: Final = 4096  # of a head that is remembered, in case that the next is the same
WRITE_BYTES_HIGH: Final = 256 * 1024  # waiting in a transport, before its source is held


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one front.  Seconds are looked at once a `sweep_seconds`, so they are that much inexact.

    head_bytes_max            of a request's line and headers; beyond: 431, or 414 within the first line
    answer_head_bytes_max     of a backend's status line and headers; beyond: 502
    headers_count_max         of a request or an answer
    ahead_bytes_max           sent ahead by a client whose request is not answered yet, before it is held
    connections_max           of clients, tunnels included
    backend_idle_max          connections to one backend that wait
    backend_idle_seconds      that they wait at the most
    replay_idle_seconds       a connection that waited longer gets nothing that could not be sent again
    head_seconds_max          from the first byte of a head (or a new connection) to its last
    body_stall_seconds_max    between two pieces of a request's body
    idle_seconds_max          between two requests
    linger_seconds_max        for a client that still sends after it was answered
    linger_bytes_max          that it may send then
    half_closed_seconds_max   without a byte, when the client has closed its side and waits for its answer
    held_bytes_max            of heads in pieces, and bodies that routes read whole, all together; beyond: 503
    """

    head_bytes_max: int = 64 * 1024
    answer_head_bytes_max: int = 64 * 1024
    headers_count_max: int = house.HEADERS_COUNT_MAX
    ahead_bytes_max: int = 64 * 1024
    connections_max: int = house.CONNECTIONS_MAX
    backend_idle_max: int = 256
    backend_idle_seconds: float = 60.0
    replay_idle_seconds: float = 4.0
    head_seconds_max: float = house.HEADER_READ_SECONDS_MAX
    body_stall_seconds_max: float = house.BODY_STALL_SECONDS_MAX
    idle_seconds_max: float = house.IDLE_CONNECTION_SECONDS_MAX
    linger_seconds_max: float = 5.0
    linger_bytes_max: int = house.BODY_BYTES_MAX
    half_closed_seconds_max: float = 5.0
    held_bytes_max: int = house.BODY_IN_MEMORY_BYTES_TOTAL_MAX
    sweep_seconds: float = 1.0
