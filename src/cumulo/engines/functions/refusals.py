"""Why a container of a function did not start, in the words that Lambda's own init has for it."""

import re
from pathlib import Path

from cumulo.engines.engine import EngineError, StartFailed
from cumulo.sandbox.contract import SandboxSpec, StartError

NO_ENTRYPOINT = "Runtime.InvalidEntrypoint"
NO_FOLDER = "Runtime.InvalidWorkingDir"
FAILED = "Sandbox.Failed"
_FOUND = re.compile(r"exec (/\S*): ")  # the local engine names what PATH led to


def check(spec: SandboxSpec) -> None:
    """What can be said before anything is started.  StartError."""
    image = spec.image
    if image is None:
        raise StartError(FAILED, "containers need an image")
    if not image.cwd.startswith("/"):
        raise StartError(
            NO_FOLDER, f"the working directory '{image.cwd}' is invalid, it needs to be an absolute path"
        )
    if not spec.argv or not spec.argv[0]:
        raise StartError(NO_ENTRYPOINT, "Couldn't find valid bootstrap(s): []")
    if image.unfit:
        raise StartError(NO_ENTRYPOINT, f"fork/exec {spec.argv[0]}: {image.unfit}")


def explain(spec: SandboxSpec, error: EngineError, printed: str = "") -> StartError:
    """What an engine's refusal means: the function's fault, or this machine's.

    printed   what came out of the container's pipe meanwhile, perhaps the last words of what was to start it
    """
    image = spec.image
    assert image is not None, "checked"
    command = spec.argv[0]
    said = str(error).lower()
    if isinstance(error, StartFailed) and error.kind in {"entrypoint", "engine"}:
        if _about_folder(said, image.cwd.lower()):
            return StartError(NO_FOLDER, f"the working directory doesn't exist: {image.cwd}")
        if error.kind == "entrypoint":
            found = _FOUND.match(str(error))
            return StartError(NO_ENTRYPOINT, _about_command(said, found[1] if found else command))
    further = "" if printed.strip() in str(error) else f": {printed.strip()}"
    return StartError(FAILED, f"{error}{further}")


def _about_folder(said: str, cwd: str) -> bool:
    return "chdir" in said or "cwd" in said or "working dir" in said or f"mkdir {cwd}" in said


def _about_command(said: str, command: str) -> str:
    if "exec format error" in said:
        return f"fork/exec {command}: exec format error"
    if "permission denied" in said or "is a directory" in said:
        return f"fork/exec {command}: permission denied"
    if "/" not in command:
        return f"Couldn't find valid bootstrap(s): [{command}]"
    return f"fork/exec {command}: no such file or directory"


def refuse_made_up_folder(spec: SandboxSpec, pid: int, before_ns: int) -> None:
    """Engines make a working directory that an image has not; AWS does not.  StartError.

    The root is read-only, so a folder that is younger than the container was made with it.
    """
    image = spec.image
    assert image is not None, "checked"
    targets = ["/tmp", *(["/var/task"] if image.code else []), *(bind.target for bind in spec.binds)]
    if pid <= 0 or image.cwd == "/" or any(f"{image.cwd}/".startswith(f"{target}/") for target in targets):
        return
    try:
        found = Path(f"/proc/{pid}/root{image.cwd}").lstat()
    except OSError:
        return  # another machine's process, one that has ended, or a link
    if found.st_ctime_ns >= before_ns:
        raise StartError(NO_FOLDER, f"the working directory doesn't exist: {image.cwd}")
