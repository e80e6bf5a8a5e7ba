"""One request after the other on a connection: how it is begun, ended, refused, and when patience ends."""

import asyncio
import logging
import math
from abc import abstractmethod
from typing import TYPE_CHECKING

from cumulo.wire.answers import failure
from cumulo.wire.exchange import Exchange
from cumulo.wire.head import Head
from cumulo.wire.http import BytesBody, Lane, Request, Secured
from cumulo.wire.link import BUSY, END, HEAD, LINGER, Link

if TYPE_CHECKING:
    from cumulo.wire.server import Adopted, Server

_log = logging.getLogger(__name__)


class Turns(Link):
    """A connection with the request that has its turn."""

    __slots__ = ("_advancing", "_origin", "_peer", "_secured", "exchange")

    def __init__(self, server: "Server", origin: "Adopted") -> None:
        super().__init__(server)
        self.exchange: Exchange | None = None
        self._origin = origin
        self._peer = origin.peer
        self._secured: Secured | None = None
        self._advancing = False

    @abstractmethod
    def _next(self) -> None:
        """Begin what the client sent ahead."""

    @abstractmethod
    def hand_over(self, exchange: Exchange, protocol: asyncio.Protocol) -> None:
        """Let another protocol have the connection, in answer to a request."""

    def _exchange(self, head: Head, body: bytes) -> Exchange:
        server = self.server
        request = self._request(head, body)
        started = server.clock.monotonic() if server.on_done is not None else 0.0
        self._phase = BUSY
        self.exchange = exchange = Exchange(
            self, request, keep_alive=head.keep_alive, http10=head.http10, started=started
        )
        return exchange

    def _request(self, head: Head, body: bytes) -> Request:
        request = Request(head.method, head.path, head.query, head.headers, BytesBody(body), peer=self._peer)
        if self._secured is not None:
            request.scheme, request.secured = "https", self._secured
        return request

    def _down(self, lane: Lane, exchange: Exchange, body: bytes) -> None:
        try:
            taken = lane.take(exchange.request, body, exchange.reply)
        except Exception:  # noqa: BLE001 - whatever a lane does, the server goes on
            _log.exception("a lane failed", extra={"path": exchange.request.path})
            exchange.reply(failure(500, "InternalFailure", "Internal server error"))
            return
        if not taken:
            self._start(exchange)

    def _start(self, exchange: Exchange) -> None:
        if self.exchange is exchange:
            exchange.task = self.server.start(exchange.run())
            if self.ended:
                self._expect_little_patience(exchange)

    def finish(self, exchange: Exchange, status: int, keep_alive: bool) -> None:
        """Take note that a request has been answered, and go on to the next."""
        server = self.server
        self.exchange = None
        self._release(exchange)
        if server.on_done is not None:
            server.on_done(exchange.request, status, server.clock.monotonic() - exchange.started)
        if not keep_alive:
            self._close(linger=self._phase > BUSY or self._read_paused or bool(self._ahead))
            return
        self._phase = HEAD
        self._since = server.tick
        if self._ahead and not self._advancing:
            self._next()
        if self.ended and self.exchange is None and not self._ahead and not self._advancing:
            self._close(linger=False)

    @property
    def idle_since(self) -> float:
        """When it became idle, of the server's ticks; never, while a request has begun."""
        return self._since if self._phase == HEAD and not self._held else math.inf

    def close_idle(self) -> None:
        """Close if no request is being answered."""
        if self.exchange is None:
            self._close(linger=False)

    def more_to_come(self) -> bool:
        """Whether the client has asked, or can still ask, for something else."""
        return not self.ended or self._ahead.find(END, self._at) >= 0

    def check(self, now: float) -> None:
        """End what has lasted too long.  Called now and then by the server."""
        limits = self.server.limits
        phase = self._phase
        age = now - self._since
        if self.write_paused or (phase == LINGER and self.transport.get_write_buffer_size()):
            if self._write_stalled(now):
                self.abort()
        elif phase == HEAD and self._held:
            if age > limits.head_seconds_max:
                self._refuse(408, "RequestTimeout", "The request's head took too long to arrive")
        elif phase == HEAD:
            if age > limits.idle_seconds_max:
                self._close(linger=False)
        elif phase == LINGER:
            if age > limits.linger_seconds_max:
                self.abort()
        elif phase != BUSY and not self._read_paused and age > limits.body_stall_seconds_max:
            self._refuse(408, "RequestTimeout", "The request's body took too long to arrive")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error of the server's own and close."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self._drop(exchange)
            if exchange.sent:
                self.abort()
                return
        _log.info("refused a request", extra={"status": status, "why": message, "peer": self._peer})
        response = failure(status, code, message)
        assert isinstance(response.body, bytes)
        head = self.server.answers.head(response, len(response.body), "Connection: close\r\n")
        self.transport.write(head + response.body)
        self._close(linger=True)

    def _drop(self, exchange: Exchange) -> None:
        self._release(exchange)
        if exchange.task is not None:
            exchange.task.cancel()

    def _release(self, exchange: Exchange) -> None:
        if exchange.counted:
            self.server.budget.give(exchange.counted)
            exchange.counted = 0
        if exchange.body is not None:
            exchange.body.dispose()

    def _expect_little_patience(self, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self.server.limits.half_closed_seconds_max, self._give_up, exchange, exchange.pieces)

    def _give_up(self, exchange: Exchange, pieces: int) -> None:
        """Stop working for a client that closed its side a while ago, unless an answer is flowing to it."""
        if self.exchange is not exchange or (exchange.sent and not exchange.streams):
            return
        if exchange.pieces == pieces and not self.write_paused:
            self.abort()
        else:
            self._expect_little_patience(exchange)
