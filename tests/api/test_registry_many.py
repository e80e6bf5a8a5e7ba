"""Many clients at once, and layers that are larger than memory should ever see."""

import hashlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.registry_kit import Client, RegistryProcess, sha256
from tests.support import until

pytest_plugins = ("tests.registry_fixtures",)

CLIENTS = 50
GIB = 1024**3
LARGE_GIB = int(os.environ.get("CUMULO_TEST_LAYER_GIB", "1"))  # 5 is what a release is tried with
GROWTH_KIB_MAX = 48 * 1024


def at_once(work: Callable[[int], object], count: int = CLIENTS) -> list[object]:
    """Do something so many times at the same moment."""
    barrier = threading.Barrier(count)

    def one(number: int) -> object:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def files_of(registry: RegistryProcess, digest: str) -> list[Path]:
    wanted = digest.partition(":")[2]
    return [path for path in (registry.data / "content").rglob("*") if path.name == wanted]


def test_fifty_clients_push_the_same_layer(registry: RegistryProcess, name: str):
    data = os.urandom(3_000_000)

    def push(_: int) -> str:
        with registry.client() as client:
            return client.push_blob(name, data)

    assert set(at_once(push)) == {sha256(data)}
    assert len(files_of(registry, sha256(data))) == 1
    with registry.client() as client:
        assert client.ask("GET", f"/v2/{name}/blobs/{sha256(data)}").body == data
    assert not list((registry.data / "content/incoming").iterdir())


def test_fifty_clients_push_and_pull_images_of_their_own(registry: RegistryProcess, name: str):
    def push(number: int) -> bool:
        layer = os.urandom(1_000_000 + number)
        with registry.client() as client:
            digest, manifest = client.push_image(name, f"v{number}", layer)
            pulled = client.ask("GET", f"/v2/{name}/manifests/v{number}")
            blob = client.ask("GET", f"/v2/{name}/blobs/{sha256(layer)}")
            return (pulled.body, pulled.headers["docker-content-digest"], blob.body) == (
                manifest,
                digest,
                layer,
            )

    assert all(at_once(push))
    with registry.client() as client:
        assert len(client.ask("GET", f"/v2/{name}/tags/list").json()["tags"]) == CLIENTS


def test_one_upload_has_one_writer(registry: RegistryProcess, name: str, client: Client):
    data = os.urandom(200_000)
    place = client.begin(name)

    def chunk(_: int) -> int:
        with registry.client() as one:
            return one.ask("PATCH", place, data, {"Content-Range": f"0-{len(data) - 1}"}).status

    assert sorted(map(int, at_once(chunk, 10))) == [202] + [416] * 9  # type: ignore[call-overload]
    assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201


def test_a_client_that_dies_half_way_can_go_on_where_it_was(
    registry: RegistryProcess, name: str, client: Client
):
    data = os.urandom(5_000_000)
    place = client.begin(name)
    head = f"PATCH {place} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", registry.port)) as sock:
        sock.sendall(head.encode() + data[:3_000_000])
        until(lambda: _received(client, place) > 1_000_000, "some of it has arrived")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    have = _received(client, place)
    assert 1_000_000 < have <= 3_000_000
    # Whoever is quicker back than the registry has noticed waits for it.
    answer = client.ask("PATCH", place, data[have:], {"Content-Range": f"{have}-{len(data) - 1}"})
    if answer.status == 416:
        have = _received(client, place)
        answer = client.ask("PATCH", place, data[have:], {"Content-Range": f"{have}-{len(data) - 1}"})
    assert answer.status == 202
    assert client.ask("PUT", f"{place}?digest={sha256(data)}", b"").status == 201
    assert client.ask("GET", f"/v2/{name}/blobs/{sha256(data)}").body == data


def _received(client: Client, place: str) -> int:
    return int(client.ask("GET", place).headers["range"].partition("-")[2]) + 1


def test_a_large_layer_goes_through_with_flat_memory(registry: RegistryProcess, name: str, client: Client):
    """Of zeros with marks, so that it costs neither time nor disk to make; the registry cannot know."""
    size = LARGE_GIB * GIB

    def pieces() -> Iterator[bytes]:
        block = bytearray(1 << 20)
        for number in range(size >> 20):
            block[:8] = number.to_bytes(8, "big")
            yield bytes(block)

    whole = hashlib.sha256()
    for piece in pieces():
        whole.update(piece)
    digest = f"sha256:{whole.hexdigest()}"
    client.push_blob(name, b"warm")
    before = _resident_kib(registry)
    place = client.begin(name)
    answer = client.ask("PUT", f"{place}?digest={digest}", pieces(), {"Content-Length": str(size)})
    assert answer.status == 201, answer.body
    pulled = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", registry.port)) as sock, sock.makefile("rb") as stream:
        sock.sendall(
            f"GET /v2/{name}/blobs/{digest} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )
        while stream.readline() != b"\r\n":
            pass
        while data := stream.read(1 << 20):
            pulled.update(data)
    assert pulled.digest() == whole.digest()
    assert _resident_kib(registry) - before < GROWTH_KIB_MAX
    assert client.ask("DELETE", f"/v2/{name}/blobs/{digest}").status == 202
    (file,) = files_of(registry, digest)
    os.utime(file, (1, 1))
    assert registry.do("tidy") == 1
    assert not file.exists()


def _resident_kib(registry: RegistryProcess) -> int:
    """The most that it ever had in memory."""
    return int(registry.do("memory")["VmHWM"].split()[0])


def test_what_is_collected_while_others_push_the_same_is_never_missed(registry: RegistryProcess, name: str):
    """Files go a second after nobody needs them, and the same content comes again all the time."""
    stop = time.monotonic() + 4.0
    collected: list[int] = []

    def tidy() -> None:
        while time.monotonic() < stop:
            collected.append(registry.do("tidy", seconds="1"))

    def push(number: int) -> bool:
        dice = random.Random(number)
        with registry.client() as client:
            while time.monotonic() < stop:
                layer = b"shared by some %d" % dice.randrange(6) * 10_000
                client.push_blob(name, layer)
                blob = client.ask("GET", f"/v2/{name}/blobs/{sha256(layer)}")
                # 404: another client has deleted it again; what is shown is whole.
                if blob.status != 404 and blob.body != layer:
                    return False
                client.ask("DELETE", f"/v2/{name}/blobs/{sha256(layer)}")
                time.sleep(dice.random())
        return True

    tidying = threading.Thread(target=tidy)
    tidying.start()
    try:
        assert all(at_once(push, 6))
    finally:
        tidying.join()
    assert sum(collected) > 0
