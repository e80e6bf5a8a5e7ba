"""What a warden knows of each cell and each start."""

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from cumulo.sandbox.stock import Volume


class Cell:
    """A forked cell, from preparation to its end."""

    def __init__(self, name: str, pid: int, pidfd: int, control: socket.socket) -> None:
        self.name = name
        self.pid = pid
        self.pidfd = pidfd
        self.control = control
        self.ready: list[int] = []  # its listening sockets, once prepared and until handed over
        self.start: Start | None = None
        self.answer: list[int] = []  # what the server gets when the assignment has been carried out
        self.running = False
        self.failure = ""
        self.early = ""  # the key of the runtime that was started in it before its function was known
        self.warm = False  # that runtime has nothing more to prepare
        self.volume: Volume | None = None  # its /tmp; the uid that owns it is the runtime's
        self.pipes: list[int] = []  # its output and telemetry


class Start:
    """A start that the server asked for."""

    def __init__(self, message: "dict[str, Any]", volume: "Volume") -> None:
        self.id: int = message["id"]
        self.message = message
        self.volume = volume
