"""What a cloud left behind on this machine: found by its data folder, its instance's names and a mark."""

import os
import shutil
import subprocess
from pathlib import Path

from cumulo.base.folders import instance_of
from cumulo.engines.local.building import NETWORKS
from cumulo.engines.local.groups import PREFIX
from cumulo.engines.local.opening import RUN
from cumulo.engines.local.opening import instance_of as pods_of
from cumulo.sandbox.network import bridge_name, short, table_name

MARK = "CUMULO_TEST_MARK"


def leftovers(data: Path) -> list[str]:
    """Processes, mounts, loop devices, control groups, links, nft tables, rules, locks and folders below /run."""
    return [
        *processes(data),
        *_mounts(data),
        *_loops(data),
        *_groups(data),
        *_links(instance_of(data)),
        *_tables(instance_of(data)),
        *(f"lock {path}" for path in Path("/run/cumulo").glob(f"{instance_of(data)}*")),
        *(f"folder {path}" for path in _run_folders(data) if path.exists()),
    ]


def _run_folders(data: Path) -> tuple[Path, Path]:
    """Where the engine of a cloud has its states and its networks."""
    return RUN / pods_of(data / "engine"), NETWORKS / instance_of(data)


def _group_names(data: Path) -> tuple[str, str]:
    return f"cumulo-{instance_of(data)}", f"{PREFIX}{pods_of(data / 'engine')}"


def processes(data: Path) -> list[str]:
    """Processes (and with them namespaces) that name the folder, bear its mark or are in its groups; no zombies."""
    own = {os.getpid(), os.getppid()}
    return [
        f"process {folder.name}: {found}"
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and int(folder.name) not in own and (found := _belongs(folder, data))
    ]


def _belongs(process: Path, data: Path) -> str:
    try:
        if process.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return ""
        command = process.joinpath("cmdline").read_bytes()
        environ = process.joinpath("environ").read_bytes()
        groups = process.joinpath("cgroup").read_text()
        links = _links_of(process)
    except OSError:
        return ""
    # The warden holds its instance's lock; who is in a pod's network may hold nothing else.
    names = [str(data), f"/{instance_of(data)}.lock", *(str(folder) for folder in _run_folders(data))]
    holds = any(name in link for link in links for name in names)
    marked = holds or f"{MARK}={data}".encode() in environ.split(b"\0")
    in_group = any(name in groups for name in _group_names(data))
    if marked or in_group or str(data).encode() in command:
        return command.replace(b"\0", b" ").decode(errors="replace")[:200] or "(no command line)"
    return ""


def _links_of(process: Path) -> list[str]:
    found = []
    for link in [process / "cwd", process / "exe", process / "root", *process.joinpath("fd").iterdir()]:
        try:
            found.append(os.readlink(link))
        except OSError:
            continue
    return found


def _mounts(data: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    ours = [str(data), *(str(folder) for folder in _run_folders(data))]
    return [f"mount {line.split()[4]}" for line in lines if any(name in line for name in ours)]


def _loops(data: Path) -> list[str]:
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if str(data) in backing.read_text():
                found.append(f"loop device {backing.parts[3]}")
        except OSError:
            continue
    return found


def _groups(data: Path) -> list[str]:
    return [
        f"control group {folder}/{name}"
        for folder, names, _ in os.walk("/sys/fs/cgroup")  # what goes while we look is passed over
        for name in names
        if name.startswith(_group_names(data))
    ]


def _links(instance: str) -> list[str]:
    names = os.listdir("/sys/class/net")
    mine = f"cu{short(instance)}"
    assert bridge_name(instance).startswith(mine)
    return [f"link {name}" for name in names if name.startswith(mine)]


def _tables(instance: str) -> list[str]:
    if os.geteuid() != 0 or shutil.which("nft") is None:
        return []
    tables = _nft("list", "tables").splitlines()
    rules = _nft("list", "table", "ip", "filter").splitlines()  # our exceptions in the host's own firewall
    return [line for line in tables if table_name(instance) in line] + [
        f"rule {line.strip()}" for line in rules if f'"cu{short(instance)}' in line
    ]


def _nft(*words: str) -> str:
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=False).stdout
