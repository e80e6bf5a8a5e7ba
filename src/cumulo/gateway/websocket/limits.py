"""How much clients of WebSocket APIs may ask for: AWS's limits, and the house's own."""

import msgspec

KIB = 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """AWS's: frames, messages, idleness, life, new connections.  The house's: all else."""

    frame_bytes_max: int = 32 * KIB
    message_bytes_max: int = 128 * KIB
    idle_seconds_max: float = 600.0
    life_seconds_max: float = 7200.0
    integration_seconds_max: float = 29.0
    connects_a_second: float = 500.0
    connects_burst: int = 500
    open_max: int = 16_384
    waiting_bytes_max: int = 512 * KIB  # for one client that reads slowly; then 429 for who would send more
    waiting_bytes_total_max: int = 256 * KIB * KIB  # for all who read slowly; then 429 for each of them
    unheard_bytes_total_max: int = (
        256 * KIB * KIB
    )  # of messages that are not whole; then who sends more must go
    turns_a_connection_max: int = 32  # messages of one client on their way at once; then it must wait
    turns_max: int = 2048  # of all clients
    turns_bytes_max: int = 128 * KIB * KIB  # their messages
    farewells_max: int = 64  # $disconnect routes called at once
    sweep_seconds: float = 5.0
