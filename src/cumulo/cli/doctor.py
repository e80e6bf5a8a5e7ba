"""`cumulo doctor`: what this machine can run, and the command that would let it run more.

    looks (what is here) -> Line (ok, warn or missing; what it means; what mends it) -> text or JSON

A line is *missing* when something cannot be used at all, and a *warn* when it works less well than it could.
The exit code is 0 unless functions cannot run at all.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cumulo.cli.aws import find_aws
from cumulo.cli.cloud import on_terminal
from cumulo.cli.doctor_engines import engine_lines
from cumulo.cli.findings import Grade, Line

if TYPE_CHECKING:
    from cumulo.sandbox import probe
    from cumulo.sandbox.runtimes.host import Finding as RuntimeFinding

GIB = 1024**3
FREE_BYTES_MIN = GIB
_VOLATILE = frozenset({"tmpfs", "ramfs"})
_SHARED = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})
_COLOURS = {"ok": "green", "warn": "yellow", "missing": "red"}


def sandbox_lines(report: "probe.Report") -> list[Line]:
    """How well functions are shut in."""
    level = str(report.isolation)
    said = {
        "full": "every function in namespaces of its own, with its own user, limits and system calls",
        "partial": "functions are shut in, but less well than they could be",
        "none": "functions run as plain processes of this user, without isolation",
    }[level]
    first = Line("sandbox", "isolation", Grade.OK if level == "full" else Grade.WARN, f"{level}: {said}")
    rest = [
        Line("sandbox", found.name, Grade.OK if found.ok else Grade.WARN, found.detail, found.fix)
        for found in report.findings
    ]
    return [first, *rest]


def runtime_lines(found: "Iterable[RuntimeFinding]") -> list[Line]:
    """What each runtime would run on."""
    grades = {"exact": Grade.OK, "nearest": Grade.WARN, "missing": Grade.MISSING}
    lines: list[Line] = []
    for row in found:
        detail, fix = row.runs_on or "nothing here runs it", row.remedy
        if "not supported yet" in fix:  # nothing that the user could install would help
            detail, fix = "functions in this language are not supported yet", ""
        if row.runtime != "custom":
            lines.append(Line("runtime", row.runtime, grades[str(row.fit)], detail, fix))
    return lines


def folder_line(data: Path, file_system: str, free_bytes: int) -> Line:
    """Whether the data folder's place can be relied on."""
    said = f"{data} on {file_system or 'an unknown file system'}, {free_bytes / GIB:.1f} GiB free"
    if file_system in _VOLATILE:
        return Line(
            "data", "folder", Grade.WARN, f"{said}: it is gone after a restart", "cumulo up --data DIR"
        )
    if file_system in _SHARED:
        fix = "cumulo up --data DIR, on a disk of this machine"
        return Line("data", "folder", Grade.WARN, f"{said}: databases may break on network file systems", fix)
    if free_bytes < FREE_BYTES_MIN:
        return Line("data", "folder", Grade.WARN, said, "free some space, or: cumulo up --data DIR")
    return Line("data", "folder", Grade.OK, said)


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that a path is on, by the longest mount point (of /proc/self/mounts)."""
    best, kind = "", ""
    for line in mounts.splitlines():
        point, found = line.split(" ")[1:3]
        inside = point == "/" or str(path) == point or str(path).startswith(point + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind


def knows_endpoint_variable(version: str) -> bool:
    """Whether an AWS CLI of this version reads AWS_ENDPOINT_URL: since 1.29.0 and 2.13.0."""
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    known = {"1": 29, "2": 13}
    return not minor.isdecimal() or int(minor) >= known.get(major, 0)


def can_run_functions(lines: Iterable[Line]) -> bool:
    """Whether there is one runtime that functions can be written for."""
    return any(line.kind == "runtime" and line.grade is not Grade.MISSING for line in lines)


def examine(data: Path) -> list[Line]:
    """Look at this machine; changes nothing."""
    from cumulo.base.folders import cache_folder
    from cumulo.sandbox import probe
    from cumulo.sandbox.runtimes.host import HostRuntimes

    return [
        *sandbox_lines(probe.probe()),
        *runtime_lines(HostRuntimes(cache_folder()).report()),
        *engine_lines(data),
        _companions(),
        _aws_cli(),
        _folder(data),
    ]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--data", type=click.Path(path_type=Path), help="The folder that `cumulo up` would use.")
def command(*, as_json: bool, data: Path | None) -> None:
    """Say what this machine can run, and what would let it run more.

    Exit code 1 when functions cannot run at all.
    """
    from cumulo.cli.up import default_data

    lines = examine(data or default_data())
    runs = can_run_functions(lines)
    if as_json:
        shown = [msgspec.to_builtins(line) for line in lines]
        click.echo(json.dumps({"functions": runs, "findings": shown}, indent=2))
    else:
        _print(lines)
        click.echo("Functions can run here." if runs else "Functions cannot run here.")
    sys.exit(0 if runs else 1)


def _print(lines: list[Line]) -> None:
    colour = on_terminal()
    wide = max(len(line.name) for line in lines)
    kind = ""
    for line in lines:
        if line.kind != kind:
            kind = line.kind
            click.echo(f"{kind}")
        grade = click.style(f"{line.grade:<7}", fg=_COLOURS[line.grade]) if colour else f"{line.grade:<7}"
        click.echo(f"  {grade}  {line.name:<{wide}}  {line.detail}")
        if line.fix:
            click.echo(f"  {'':<7}  {'':<{wide}}  -> {line.fix}")


def _companions() -> Line:
    if find_spec("moto") is None:
        detail = "no moto: AWS services that are not ours are answered by nobody"
        return Line("companions", "moto", Grade.MISSING, detail, "pip install 'moto[server,all]'")
    return Line("companions", "moto", Grade.OK, "answers for every AWS service that is not ours")


def _aws_cli() -> Line:
    found = find_aws(sys.executable, os.environ.get("PATH"))
    if found is None:
        return Line("tools", "aws", Grade.MISSING, "no AWS CLI (cumulo aws)", "pip install 'cumulo[aws]'")
    version = _version_of(found)
    if version and not knows_endpoint_variable(version):
        said = (
            f"{found} {version} does not know AWS_ENDPOINT_URL: `cumulo aws` works, plain `aws` goes to AWS"
        )
        return Line("tools", "aws", Grade.WARN, said, "pip install 'cumulo[aws]', or give --endpoint-url")
    return Line("tools", "aws", Grade.OK, f"{found} {version}".strip())


def _version_of(program: str) -> str:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (told.stdout or told.stderr).partition("aws-cli/")[2].partition(" ")[0]


def _folder(data: Path) -> Line:
    there = data.absolute()
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK):
        return Line("data", "folder", Grade.MISSING, f"{there} cannot be written", "cumulo up --data DIR")
    mounts = Path("/proc/self/mounts")
    kind = file_system_of(there.resolve(), mounts.read_text()) if mounts.exists() else ""
    return folder_line(data, kind, shutil.disk_usage(there).free)
