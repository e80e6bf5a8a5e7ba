"""The name server's bounds, without a network: what is beyond them is dropped."""

import asyncio
import socket
import struct

from tests.network_kit import query

from cumulo.engines.local import dns
from cumulo.engines.local.name_server import FORWARDED_MAX, FORWARDED_MAX_EACH, NameServer
from cumulo.engines.local.upstream import Upstream


class _Transport(asyncio.DatagramTransport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, addr: object = None) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return False


def test_questions_beyond_what_is_forwarded_at_once_are_dropped_for_each_and_for_all() -> None:
    async def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", 0))
            upstream = Upstream(lambda: (("127.0.0.1", mute.getsockname()[1]),), seconds_each=0.2)
            server = NameServer(lambda _: None, upstream)
            transport = _Transport()
            for number in range(FORWARDED_MAX_EACH + 50):
                server.asked_by_datagram(query("a", number=number), ("10.0.0.1", 1), transport)
            assert len(server._tasks) == FORWARDED_MAX_EACH
            for pod in range(2, 9):
                for number in range(FORWARDED_MAX_EACH):
                    server.asked_by_datagram(query("a", number=number), (f"10.0.0.{pod}", 1), transport)
            assert len(server._tasks) == FORWARDED_MAX
            await asyncio.gather(*server._tasks)
            assert len(transport.sent) == FORWARDED_MAX
            codes = {struct.unpack_from("!H", message, 2)[0] & 0xF for message in transport.sent}
            assert codes == {dns.SERVER_FAILURE}
            server.asked_by_datagram(query("a"), ("10.0.0.1", 1), transport)  # there is room again
            assert len(server._tasks) == 1
            await server.close()

    asyncio.run(work())


def test_our_own_address_is_never_asked() -> None:
    async def work() -> None:
        upstream = Upstream(lambda: (("10.0.0.1", 53),))
        question = dns.parse(query("a"))
        assert await upstream.ask(query("a"), question, "10.0.0.1", stream=False) is None

    asyncio.run(work())
