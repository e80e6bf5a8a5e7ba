# noqa: INP001 - a folder of files for functions, no package of ours
"""Runs awslambdaric with sys.path as AWS has it.

The interpreter was started with -S, which saves a third of its start and keeps the machine's own packages out.
What a function can notice of that (`exit`, .pth files, sitecustomize) is put back here, where it is used.
Runs on every Python that a function can ask for, so its style is that of the oldest.
"""

import os
import sys

WRAPPED = "_CUMULO_WRAPPED"
EARLY = "_CUMULO_EARLY_FD"


def main() -> None:
    """Start the function's runtime."""
    environ = os.environ
    if EARLY in environ:
        import early_start  # type: ignore[import-not-found]

        early_start.await_function(int(environ[EARLY]))
    wrapper = environ.get("AWS_LAMBDA_EXEC_WRAPPER")
    if environ.pop(WRAPPED, None) is None and wrapper:
        environ[WRAPPED] = "1"
        os.execv(wrapper, [wrapper, sys.executable, "-S", sys.argv[0]])  # noqa: S606
    here = sys.path[0]
    home = environ.get("LAMBDA_RUNTIME_DIR", here)
    task_root = environ.get("LAMBDA_TASK_ROOT", "/var/task")
    own_path = environ.get("PYTHONPATH", home) != home
    folders = [task_root]
    if not own_path:
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        folders += ["/opt/python/lib/" + version + "/site-packages", "/opt/python"]
        sys.path[:] = [path for i, path in enumerate(sys.path) if path != here or i == 0]
    sys.path[:0] = folders
    _restore_builtins()
    _read_pth_files(folders)
    if own_path:
        import site

        site.execsitecustomize()
    from awslambdaric.__main__ import main as run

    run([task_root, environ["_HANDLER"]])


def _restore_builtins() -> None:
    import _sitebuiltins
    import builtins

    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.help = _sitebuiltins._Helper()  # noqa: SLF001


def _read_pth_files(folders: "list[str]") -> None:
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except OSError:
            continue
        if any(name.endswith(".pth") for name in names):
            import site

            site.addsitedir(folder)
