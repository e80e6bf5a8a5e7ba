"""Many pushes at once, of the same layers, while what nobody needs is tidied away: every acknowledged image is whole."""

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.containers_kit import make_repository, registry
from tests.image_kit import digest_of
from tests.registry_kit import Client, RegistryProcess, manifest_of, sha256
from tests.support import Process

PUSHES = 50
DAY = 24 * 3600


def push(client: Client, name: str, tag: str, layers: list[bytes]) -> bytes:
    """As clients push: what is there is not pushed again.  The manifest, acknowledged."""
    config = b'{"architecture":"amd64","os":"linux","tag":"%b"}' % tag.encode()
    for blob in (config, *layers):
        if client.ask("HEAD", f"/v2/{name}/blobs/{sha256(blob)}").status != 200:
            client.push_blob(name, blob)
    return client.push_manifest(name, tag, manifest_of(config, *layers))[1]


def check(client: Client, name: str, tag: str, manifest: bytes, layers: list[bytes]) -> None:
    assert client.ask("GET", f"/v2/{name}/manifests/{tag}").body == manifest, tag
    for layer in layers:
        assert client.ask("GET", f"/v2/{name}/blobs/{sha256(layer)}").body == layer, tag


def all_at_once(count: int, work: Callable[[int], bytes]) -> list[bytes]:
    barrier = threading.Barrier(count)

    def one(number: int) -> bytes:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def files(data: Path) -> set[str]:
    """The blobs on the disk; each has the digest that it is called by."""
    found = set()
    for path in (data / "content" / "sha256").rglob("*"):
        if path.is_file():
            assert digest_of(path.read_bytes()) == f"sha256:{path.name}"
            found.add(path.name)
    return found


def test_fifty_pushes_at_once_of_shared_layers_are_all_whole(server: Process):
    for name in ("aa", "bb"):
        make_repository(server, name)
    shared = [os.urandom(200_000) for _ in range(6)]

    def layers(number: int) -> list[bytes]:
        return [shared[number % 6], shared[(number + 1) % 6], number.to_bytes(4, "big") * 5000]

    def one(number: int) -> bytes:
        with registry(server) as client:
            return push(client, ("aa", "bb")[number % 2], f"t{number}", layers(number))

    manifests = all_at_once(PUSHES, one)
    assert len(files(server.data / "ecr")) == 6 + PUSHES + PUSHES, "each layer once, whoever has it"
    server.kill()
    server.start()
    with registry(server) as client:
        for number, manifest in enumerate(manifests):
            check(client, ("aa", "bb")[number % 2], f"t{number}", manifest, layers(number))
    assert "Traceback" not in server.log.read_text()


def test_what_is_tidied_away_while_pushes_run_is_only_what_nobody_needs(tmp_path: Path):
    registry_ = RegistryProcess(tmp_path / "data")
    registry_.start()
    try:
        registry_.do("repository", name="a")
        registry_.do("shift", seconds=str(-2 * DAY))
        old = [os.urandom(20_000 + n) for n in range(60)]  # layers of two days ago that no image needs
        with registry_.client() as client:
            for layer in old:
                client.push_blob("a", layer)
        for path in (registry_.data / "content" / "sha256").rglob("*"):
            os.utime(path, (path.stat().st_mtime - 2 * DAY,) * 2)
        registry_.do("shift", seconds="0")
        gone: list[int] = []
        stop = threading.Event()

        def tidy() -> None:
            while not stop.is_set():
                gone.append(registry_.do("tidy"))

        tidying = threading.Thread(target=tidy)
        dice = random.Random(5)
        chosen = [[dice.choice(old[:30]), dice.choice(old[:30]), os.urandom(9000)] for _ in range(PUSHES)]
        starts = [dice.uniform(0, 0.3) for _ in range(PUSHES)]

        def one(number: int) -> bytes:
            time.sleep(starts[number])
            with registry_.client() as client:
                return push(client, "a", f"t{number}", chosen[number])

        tidying.start()
        try:
            manifests = all_at_once(PUSHES, one)
        finally:
            stop.set()
            tidying.join()
        registry_.do("tidy")
        with registry_.client() as client:
            for number, manifest in enumerate(manifests):
                check(client, "a", f"t{number}", manifest, chosen[number])
            for layer in old[30:]:
                assert client.ask("HEAD", f"/v2/a/blobs/{sha256(layer)}").status == 404
        kept = files(registry_.data)
        assert not {sha256(layer).partition(":")[2] for layer in old[30:]} & kept
        assert sum(gone) >= 30
        assert "Traceback" not in registry_.log.read_text()
    finally:
        registry_.stop()
