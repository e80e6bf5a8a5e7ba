"""A layer unpacked by us and by `umoci raw unpack`: many small files, and one big one."""

import hashlib
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cumulo.engines.oci.refusals import Bounds
from cumulo.engines.oci.unpacking import child

ROUNDS = 5
Fill = Callable[[tarfile.TarFile], None]


def many_small(archive: tarfile.TarFile) -> None:
    """A thousand folders of thirty files, as long as sources are, and as repetitive."""
    chance = random.Random(1)
    words = [chance.randbytes(40).hex().encode() for _ in range(500)]
    for folder in range(1000):
        made = tarfile.TarInfo(f"usr/lib/p{folder % 40}/m{folder}")
        made.type, made.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(made)
        for file in range(30):
            size = chance.choice((0, 300, 900, 2000, 4000, 12000))
            content = b" ".join(chance.choices(words, k=size // 80 + 1))[:size]
            info = tarfile.TarInfo(f"{made.name}/file{file}.py")
            info.size, info.mtime = len(content), 1_700_000_000 + file
            archive.addfile(info, io.BytesIO(content))


def one_big(archive: tarfile.TarFile) -> None:
    """256 MiB, half of it incompressible."""
    chance = random.Random(2)
    half = chance.randbytes(1 << 20) + (b"%032d" % 7) * (1 << 15)
    info = tarfile.TarInfo("usr/lib/model.bin")
    info.size = 256 << 20
    archive.addfile(info, io.BytesIO(half * 128))


@contextmanager
def layout(fill: Fill) -> Iterator[Path]:
    """An umoci layout with one gzip layer; in memory where that is possible, so that no disk is measured."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        root = Path(place)
        with tarfile.open(root / "layer.tar", "w") as archive:
            fill(archive)
        image = f"{root / 'layout'}:x"
        for command in (
            ["init", "--layout", str(root / "layout")],
            ["new", "--image", image],
            ["raw", "add-layer", "--image", image, str(root / "layer.tar")],
        ):
            subprocess.run(["umoci", *command], check=True, capture_output=True)
        yield root


def seconds(root: Path, argv: list[str], stdin: Path | None = None) -> float:
    target = root / "target"
    if stdin:
        target.mkdir()
    began = time.perf_counter()
    with stdin.open("rb") if stdin else open(os.devnull, "rb") as file:
        done = subprocess.run(argv, stdin=file, capture_output=True, check=True)
    took = time.perf_counter() - began
    assert b"kind" not in done.stdout, done.stdout
    shutil.rmtree(target)
    return took


def compare(fill: Fill) -> tuple[float, float]:
    """Medians of ours and umoci's, in seconds, measured by turns."""
    with layout(fill) as root:
        blobs = root / "layout/blobs/sha256"
        index = json.loads((root / "layout/index.json").read_bytes())
        manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_bytes())
        layer = manifest["layers"][-1]["digest"]
        diff_id = f"sha256:{hashlib.sha256((root / 'layer.tar').read_bytes()).hexdigest()}"
        (root / "layer.tar").unlink()
        ours = child(root / "target", diff_id, Bounds(), digest=layer, packed_size=-1)
        theirs = ["umoci", "raw", "unpack", "--image", f"{root / 'layout'}:x", str(root / "target")]
        mine, others = [], []
        for _ in range(ROUNDS):
            mine.append(seconds(root, ours, blobs / layer[7:]))
            others.append(seconds(root, theirs))
    return statistics.median(mine), statistics.median(others)


def rows() -> Iterator[tuple[str, str, str, float, float]]:
    """What `Table.row` takes: what, ours, theirs, ratio, budget.  Nothing where it cannot be measured."""
    if not shutil.which("umoci") or os.geteuid() != 0:
        print("unpacking: not measured, needs root and umoci")
        return
    for name, fill in (("31,000 small files", many_small), ("one big file", one_big)):
        ours, theirs = compare(fill)
        yield (
            f"unpack a layer, {name}",
            f"{ours * 1000:.0f} ms",
            f"umoci {theirs * 1000:.0f} ms",
            ours / theirs,
            1,
        )


if __name__ == "__main__":
    for row in rows():
        print(*row)
    sys.exit()
