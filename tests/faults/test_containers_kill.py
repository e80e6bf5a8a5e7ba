"""kill -9 of the server while images are pushed, functions made of them and containers run: what was acknowledged is there.

CUMULO_KILL_ROUNDS=50 makes it long.
"""

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.containers_kit import (
    GONE,
    Said,
    Shot,
    a_cloud,
    create_from,
    is_whole,
    make_repository,
    needs_local,
    pods,
    push_all,
    registry,
    settled,
)
from tests.faults.test_kill_the_server import start_and_kill_early
from tests.image_kit import ImageFiles, function_image
from tests.leftovers import leftovers, processes
from tests.support import Process, call, until

from cumulo.base.folders import instance_of
from cumulo.base.ids import Ids
from cumulo.engines.local.addresses import link_name, table_name
from cumulo.engines.local.opening import instance_of as pods_of

ROUNDS = int(os.environ.get("CUMULO_KILL_ROUNDS", "5"))
pytestmark = needs_local


class Acknowledged:
    """What the cloud has said yes to.  Each tag has an image of its own, so what a tag shows says who was heard."""

    def __init__(self, server: Process, uri: str, source: random.Random) -> None:
        self.server = server
        self.uri = uri
        self.source = source
        self.number = 0
        self.images: dict[str, ImageFiles] = {}
        self.deleted: set[str] = set()
        self.unsure: set[str] = set()
        self.functions: dict[str, set[str]] = {}  # the versions that each may have
        self.answered = 0
        self.ran = 0

    def work(self, stop: threading.Event) -> list[threading.Thread]:
        """Every kind of client, until told to stop."""
        kinds: tuple[Callable[[], None], ...] = (self.push, self.change, self.function, self.run)

        def loop(kind: Callable[[], None]) -> None:
            while not stop.is_set():
                try:
                    kind()
                except GONE:
                    time.sleep(0.005)

        threads = [threading.Thread(target=loop, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        return threads

    def push(self) -> None:
        self.number += 1
        tag = f"t{self.number}"
        image = function_image("version", VERSION=tag)
        layer = os.urandom(self.source.randrange(1, 300_000))  # a second layer that nobody unpacks
        with registry(self.server) as client:
            client.push_blob("app", layer)
            push_all(client, "app", tag, image, (image.layer,))
        self.images[tag] = image

    def change(self) -> None:
        """Put a second tag, or delete an image that no function has."""
        ecr = self.server.client("ecr")
        free = [tag for tag in list(self.images) if tag not in self.used()]
        if not free:
            time.sleep(0.01)
            return
        time.sleep(0.02)
        tag = self.source.choice(free)
        if self.source.random() < 0.8:
            image = self.images[tag]
            name = f"also-{tag}"
            with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):
                ecr.put_image(repositoryName="app", imageManifest=image.manifest.decode(), imageTag=name)
                if tag not in self.unsure:
                    self.images[name] = image
            return
        every = [name for name in list(self.images) if self.images[name] is self.images[tag]]
        self.unsure.update(every)
        for name in every:
            del self.images[name]
        ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": name} for name in every])
        self.deleted.update(every)

    def used(self) -> set[str]:
        return {tag.removeprefix("also-") for tags in list(self.functions.values()) for tag in tags}

    def function(self) -> None:
        aws = self.server.client("lambda")
        tags = [tag for tag in list(self.images) if tag.startswith("t")]
        if not tags:
            time.sleep(0.01)
            return
        if not self.functions or (len(self.functions) < 4 and self.source.random() < 0.3):
            name, tag = f"f{self.number}-{len(self.functions)}", self.source.choice(tags)
            self.functions[name] = {tag}
            try:
                create_from(aws, name, f"{self.uri}:{tag}")
            except GONE:
                del self.functions[name]
                raise
            return
        name = self.source.choice(list(self.functions))
        if self.source.random() < 0.2:
            tag = self.source.choice(tags)
            self.functions[name] |= {tag}
            aws.update_function_code(FunctionName=name, ImageUri=f"{self.uri}:{tag}")
            self.functions[name] = {tag}
        elif aws.get_function(FunctionName=name)["Configuration"]["State"] == "Active":
            call(aws, name)
            self.answered += 1

    def run(self) -> None:
        tags = list(self.images)
        if not tags:
            time.sleep(0.01)
            return
        words = ("sleep", "1000") if self.source.random() < 0.5 else ("true",)
        order = {"image": f"app:{self.source.choice(tags)}", "entrypoint": "/bin/busybox", "command": words}
        shot = Shot(self.server, order)
        try:
            if "started" in shot.event():
                self.ran += 1
                if words[0] == "true":
                    shot.rest()
        finally:
            shot.close()


def test_what_was_acknowledged_survives_and_nothing_else_does(tmp_path: Path):
    source = random.Random(5)
    with a_cloud(tmp_path / "data") as server:
        yes = Acknowledged(server, make_repository(server, "app"), source)
        for round_ in range(ROUNDS):
            stop = threading.Event()
            threads = yes.work(stop)
            time.sleep(source.uniform(0.3, 2.0))
            server.kill()
            before = pods(server.data)
            stop.set()
            for thread in threads:
                thread.join()
            if round_ % 3 == 1:
                start_and_kill_early(server, source.uniform(0.05, 1.2))
            server.start()
            until(lambda before=before: not before & pods(server.data), "earlier pods are gone", 30)
        check(server, yes)
        assert "Traceback" not in server.log.read_text()
        print(yes.number, "pushes", len(yes.images), "tags", yes.answered, "calls", yes.ran, "runs")
        assert yes.images
        assert yes.functions


def check(server: Process, yes: Acknowledged) -> None:
    with registry(server) as client:
        tags = set(client.ask("GET", "/v2/app/tags/list?n=1000").json()["tags"])
        assert not set(yes.images) - tags
        assert not yes.deleted & tags
        for tag, image in yes.images.items():
            assert is_whole(client, "app", tag, image, (image.layer,)), tag
        for tag in tags - set(yes.images):  # half acknowledged: there whole, or not at all
            manifest = client.ask("GET", f"/v2/app/manifests/{tag}").json()
            for part in (manifest["config"], *manifest["layers"]):
                assert client.ask("GET", f"/v2/app/blobs/{part['digest']}").status == 200
    aws = server.client("lambda")
    listed = {f["FunctionName"] for f in aws.list_functions()["Functions"]}
    assert set(yes.functions) <= listed
    for name, tags in yes.functions.items():
        shown = settled(aws, name)
        assert shown["State"] == "Active", shown
        assert shown.get("LastUpdateStatus", "Successful") == "Successful", shown
        assert call(aws, name) in tags


def test_containers_of_a_killed_server_end_when_the_next_one_starts(tmp_path: Path):
    marks = [Ids().uuid() for _ in range(3)]
    with a_cloud(tmp_path / "data") as server:
        uri = make_repository(server, "app")
        image = function_image("count")
        with registry(server) as client:
            push_all(client, "app", "1", image, (image.layer,))
        aws = server.client("lambda")
        create_from(aws, "f", f"{uri}:1")
        settled(aws, "f")
        assert call(aws, "f") == 1
        order = {"image": "app:1", "entrypoint": "/bin/busybox"}
        shots = [
            Shot(server, order | {"command": ("sleep", "1000"), "env": {"MARK": mark}}) for mark in marks
        ]
        assert all("started" in shot.event() for shot in shots)
        before = pods(server.data)
        assert len(before) == 4
        server.kill()
        for shot in shots:
            shot.close()
        server.start()
        until(lambda: not pods(server.data), "the pods are gone")
        assert [line for line in processes(server.data) if "sleep" in line or "conmon" in line] == []
        assert call(server.client("lambda"), "f") == 1


def test_what_a_killed_server_leaves_goes_with_its_data_when_another_one_needs_its_engine(tmp_path: Path):
    killed = Process(tmp_path / "killed", "--engine", "local")
    killed.start()
    uri = make_repository(killed, "app")
    image = function_image("count")
    with registry(killed) as client:
        push_all(client, "app", "1", image, (image.layer,))
    aws = killed.client("lambda")
    create_from(aws, "f", f"{uri}:1")
    settled(aws, "f")
    assert call(aws, "f") == 1
    shot = Shot(killed, {"image": "app:1", "entrypoint": "/bin/busybox", "command": ["sleep", "1000"]})
    assert "started" in shot.event()
    killed.kill()
    shot.close()
    scratch = killed.data / "engine" / "scratch"
    for mounted in [
        line.split()[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if str(scratch) in line
    ][::-1]:
        subprocess.run(["umount", "-l", mounted], check=True)
    shutil.rmtree(killed.data, ignore_errors=True)
    with a_cloud(tmp_path / "other"):
        until(lambda: not leftovers(killed.data), Said(killed.data), 20)


def test_a_leak_of_containers_would_be_found(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    assert leftovers(data) == []
    instance, pods_name = instance_of(data), pods_of(data / "engine")
    bases = ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")
    root = next(path for path in bases if Path(path, "cgroup.procs").exists())
    steps = [
        (["mkdir", "-p", f"/run/cumulo/pods/{pods_name}"], ["rmdir", f"/run/cumulo/pods/{pods_name}"], "folder"),
        (["mkdir", "-p", f"/run/cumulo/nets/{instance}"], ["rmdir", f"/run/cumulo/nets/{instance}"], "folder"),
        (["mkdir", f"{root}/cumulopods-{pods_name}"], ["rmdir", f"{root}/cumulopods-{pods_name}"], "control group"),
        (["ip", "link", "add", link_name(instance, 3), "type", "bridge"], ["ip", "link", "del", link_name(instance, 3)], "link"),
        (["nft", "add", "table", "inet", table_name(instance)], ["nft", "delete", "table", "inet", table_name(instance)], "table"),
    ]  # fmt: skip
    for make, undo, word in steps:
        if shutil.which(make[0]) is None:
            continue
        subprocess.run(make, check=True, capture_output=True)
        try:
            assert any(word in found for found in leftovers(data)), make
        finally:
            subprocess.run(undo, check=True, capture_output=True)
    assert leftovers(data) == []
