"""Names that lead a sandbox to itself, whom it trusts, and its port for TLS."""

import asyncio
from pathlib import Path

from tests.sandbox_kit import launcher, needs_root, read_until, shell, spec

from cumulo.sandbox.contract import Reach
from cumulo.sandbox.launcher import NAMES_BYTES_MAX, fitting

pytestmark = needs_root

WATCH = """
until grep -q later /etc/hosts; do sleep 0.02; done
getent hosts api.example.com; getent hosts later.example.com; cat $SSL_CERT_FILE $NODE_EXTRA_CA_CERTS
echo ${AWS_CA_BUNDLE}
"""
TALK = "exec 5<>/dev/tcp/api.example.com/443; echo hello >&5; head -1 <&5"


def reach(folder: Path, *names: str) -> Reach:
    (folder / "bundle.pem").write_text("everybody\n")
    (folder / "ca.pem").write_text("ourselves\n")
    return Reach(names=names, bundle=folder / "bundle.pem", ca=folder / "ca.pem")


def test_a_sandbox_that_runs_finds_names_that_come_later(tmp_path: Path):
    async def main() -> bytes:
        async with launcher(tmp_path) as opened:
            opened.reach(reach(tmp_path, "api.example.com"))
            box = await opened.start(shell(tmp_path, WATCH, env={"AWS_CA_BUNDLE": "my own"}))
            opened.reach(reach(tmp_path, "api.example.com", "later.example.com"))
            output = await read_until(box)
            await box.close()
            return output

    words = asyncio.run(main()).split()
    assert words[:4] == [b"127.0.0.1", b"api.example.com", b"127.0.0.1", b"later.example.com"]
    assert words[4:] == [b"everybody", b"ourselves", b"my", b"own"], "what a function sets itself stays"


def test_its_port_443_is_the_server_s(tmp_path: Path):
    async def main() -> bytes:
        async with launcher(tmp_path) as opened:
            opened.reach(reach(tmp_path, "api.example.com"))
            box = await opened.start(spec(tmp_path, "/bin/bash", "-c", TALK))
            assert box.secure_socket is not None
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(box.secure_socket)
            with connection:
                said = await loop.sock_recv(connection, 100)
                await loop.sock_sendall(connection, b"answer to " + said)
            output = await read_until(box)
            await box.close()
            return output

    assert asyncio.run(main()) == b"answer to hello\n"


def test_without_names_nothing_is_set(tmp_path: Path):
    async def main() -> bytes:
        async with launcher(tmp_path) as opened:
            box = await opened.start(shell(tmp_path, "echo [$SSL_CERT_FILE$AWS_CA_BUNDLE]; cat /etc/hosts"))
            output = await read_until(box)
            await box.close()
            return output

    assert asyncio.run(main()) == b"[]\n127.0.0.1 localhost sandbox\n"


def test_a_new_warden_is_told_again(tmp_path: Path):
    async def main() -> bytes:
        async with launcher(tmp_path) as opened:
            opened.reach(reach(tmp_path, "api.example.com"))  # before there is any
            box = await opened.start(shell(tmp_path, "getent hosts api.example.com"))
            output = await read_until(box)
            await box.close()
            return output

    assert asyncio.run(main()).split() == [b"127.0.0.1", b"api.example.com"]


def test_more_names_than_a_message_holds_are_cut_off():
    names = tuple(f"n{number:06d}.example.com" for number in range(20_000))
    kept = fitting(names)
    assert kept == list(names[: len(kept)])
    assert sum(len(name) + 3 for name in kept) <= NAMES_BYTES_MAX
    assert len(kept) > 4_000
