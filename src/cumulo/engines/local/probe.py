"""Whether this machine can run pods, found by trying: for `cumulo doctor` and for choosing the runtime."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from cumulo.engines.engine import ContainerSpec, EngineError, Finding, Limits, Probe
from cumulo.engines.images import Config
from cumulo.engines.local import bundle, overlay
from cumulo.engines.local.files import delete_folder
from cumulo.engines.local.groups import open_groups
from cumulo.engines.local.hands import Hands
from cumulo.engines.local.opening import CGROUPS
from cumulo.engines.local.preparing import machine_of
from cumulo.engines.local.runtime import Tools
from cumulo.engines.local.users import User

_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RUNTIMES = ("crun", "runc")  # quickest first
_INITS = ("catatonit", "tini-static", "docker-init", "tini")
_TRIAL_SECONDS_MAX = 20.0
_ELF_PROGRAM_INTERPRETER = 3


class Seen(msgspec.Struct, frozen=True):
    """What probe found: the findings, and the programs when it is usable."""

    probe: Probe
    tools: Tools | None
    nft: str = ""


def look(data: Path, *, cgroups: Path = CGROUPS, search: str = _SEARCH) -> Seen:
    """Look at the machine, and run a container in it that does nothing.  Blocking: about 0.1 s.

    data  where pods would be: not every file system can be an overlay's upper one
    """
    if os.geteuid() != 0:
        detail = "containers of this engine need root"
        fix = "sudo cumulo up; or use Docker: cumulo up --engine docker"
        return Seen(Probe(usable=False, findings=(Finding("root", ok=False, detail=detail, fix=fix),)), None)
    findings = [Finding("root", ok=True, detail="we are root")]
    conmon = shutil.which("conmon", path=search) or ""
    findings.append(_program("conmon", conmon, "apt-get install conmon"))
    findings.append(_control_groups(cgroups))
    hands = Hands(1)
    try:
        findings.append(hands.do_now(_overlay, data))
        sound = all(finding.ok for finding in findings[-2:])
        runtime, finding = hands.do_now(_runtime, data, cgroups, search, sound)
        findings.append(finding)
    finally:
        hands.close()
    nft = shutil.which("nft", path=search) or ""
    findings.append(_program("nft", nft, "apt-get install nftables"))
    usable = all(finding.ok for finding in findings)
    init = next(
        (path for name in _INITS if (path := shutil.which(name, path=search)) and is_static(Path(path))), ""
    )
    detail = init or "containers that want an init cannot be started"
    findings.append(Finding("init", ok=bool(init), detail=detail, fix="" if init else "apt-get install tini"))
    tools = Tools(runtime, conmon, init) if usable else None
    return Seen(Probe(usable=usable, findings=tuple(findings)), tools, nft)


def is_static(path: Path) -> bool:
    """Whether a program needs nothing of the file system that it is mounted into."""
    try:
        data = path.read_bytes()
        if data[:5] != b"\x7fELF\x02":
            return False
        table, size, count = (
            int.from_bytes(data[at : at + n], "little") for at, n in ((32, 8), (54, 2), (56, 2))
        )
    except (OSError, IndexError):
        return False
    kinds = [int.from_bytes(data[table + size * i : table + size * i + 4], "little") for i in range(count)]
    return _ELF_PROGRAM_INTERPRETER not in kinds


def _program(name: str, path: str, fix: str) -> Finding:
    return Finding(name, ok=bool(path), detail=path or f"{name} is not installed", fix="" if path else fix)


def _control_groups(root: Path) -> Finding:
    name = "cgroups"
    fix = "mount the control groups writable (in a container: --privileged --cgroupns=private)"
    try:
        groups = open_groups(root, "probe")
    except (EngineError, OSError) as error:
        return Finding(name, ok=False, detail=str(error), fix=fix)
    if groups.version == 2:
        have = (root / "cgroup.controllers").read_text().split()
        missing = [kind for kind in ("memory", "cpu", "pids") if kind not in have]
        folders = [root]
    else:
        kinds = ("memory", "cpu", "cpuacct", "pids", "freezer", "devices")
        missing = [kind for kind in kinds if not (root / kind).is_dir()]
        folders = [root / kind for kind in kinds]
    missing += [str(folder) for folder in folders if not os.access(folder, os.W_OK)]
    if missing:
        return Finding(name, ok=False, detail=f"not here: {', '.join(missing)}", fix=fix)
    return Finding(name, ok=True, detail=f"control groups version {groups.version}")


def _overlay(data: Path) -> Finding:
    name = "overlayfs"
    data.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".probe-", dir=data))
    try:
        overlay.mount([], folder)
    except OSError as error:
        detail = f"{data} cannot hold containers: {error}"
        fix = "modprobe overlay; or --data on ext4 or xfs, not on another overlay (in a container: a volume)"
        return Finding(name, ok=False, detail=detail, fix=fix)
    finally:
        delete_folder(folder)
    return Finding(name, ok=True, detail=f"works in {data}")


def _runtime(data: Path, cgroups: Path, search: str, sound: bool) -> tuple[str, Finding]:
    name, problems = "runtime", []
    for program in _RUNTIMES:
        path = shutil.which(program, path=search)
        if path is None:
            problems.append(f"{program} is not installed")
            continue
        problem = trial(path, data, cgroups) if sound else "control groups or overlayfs do not"
        if not problem:
            return path, Finding(name, ok=True, detail="; ".join([path, *problems]))
        problems.append(f"{program} does not work here: {problem}")
    # runc helps where there is none at all, or where crun fails by itself and not for what both need.
    there = [program for program in _RUNTIMES if shutil.which(program, path=search)]
    helps = not there or (sound and "runc" not in there)
    fix = "apt-get install runc" if helps else ""
    return "", Finding(name, ok=False, detail="; ".join(problems), fix=fix)


def trial(runtime: str, data: Path, cgroups: Path = CGROUPS) -> str:
    """Run a container that has the host's programs and ends at once; what went wrong, or nothing."""
    folder = Path(tempfile.mkdtemp(prefix=".probe-", dir=data))
    groups = open_groups(cgroups, folder.name.strip(".").replace("_", "-"))
    spec = ContainerSpec(
        name="trial",
        image="",
        command=("/bin/true",),
        no_new_privileges=True,
        limits=Limits(vcpus=1, memory_mib=64, pids_max=32),
    )
    try:
        (folder / "rootfs").mkdir()
        around = bundle.Surroundings(
            image=Config(),
            rootfs=str(folder / "rootfs"),
            hostname="trial",
            namespace="",
            cgroup=groups.path("trial/trial"),
            user=User(),
            capabilities=machine_of(Path("/proc/self/status").read_text(), "", swap=True).held,
            architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, ""),
            mounts=tuple(
                bundle.Bound(path, path, read_only=True)
                for path in ("/usr", "/bin", "/lib", "/lib64")
                if Path(path).is_dir()
            ),
            swap=groups.swap,
            unified=groups.version == 2,
        )
        (folder / "config.json").write_bytes(msgspec.json.encode(bundle.config(spec, around)))
        argv = [runtime, "--root", str(folder / "states"), "run", "--bundle", str(folder), "trial"]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_SECONDS_MAX,
            check=False,
        )
        return (
            "" if done.returncode == 0 else done.stderr.strip()[-300:] or f"it ended with {done.returncode}"
        )
    except (OSError, EngineError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        groups.kill("trial")
        groups.remove("trial")
        groups.remove_parent()
        delete_folder(folder)
