"""The environment variables that every runtime has, as on AWS but for where this machine keeps things."""

from pathlib import Path

from cumulo.sandbox.runtimes.catalog import Language, Runtime
from cumulo.sandbox.runtimes.places import is_system

RUNTIME_DIR = "/var/runtime"
TASK_ROOT = "/var/task"

_PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
_LIBRARIES = (
    "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"  # the loader's order
)


def environment(
    runtime: Runtime, *, programs: Path | None = None, libraries: Path | None = None
) -> dict[str, str]:
    """Return what belongs to the runtime; `programs` and `libraries` stand where AWS has /var/lang.

    The interpreter's own folder comes first, so that a function that starts it by name gets the same one.
    """
    path = _PATH if programs is None or programs == Path("/usr/bin") else f"{programs}:{_PATH}"
    lang = "/var/lang/lib" if libraries is None or is_system(libraries) else str(libraries)
    env = {
        "PATH": path,
        "LD_LIBRARY_PATH": f"{lang}:{_LIBRARIES}",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_RUNTIME_DIR": RUNTIME_DIR,
    }
    if runtime.language is not Language.OS_ONLY:
        env["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{runtime.name}"
    return env
