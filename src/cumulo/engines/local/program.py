"""The runtime as a sealed copy in memory.

A container's root must not be able to write to the program that enters it (CVE-2019-5736), so crun copies or mounts
itself away each time it is called, and starts again from there.  One that runs from memory that nobody can write to,
not even we, sees that and goes on at once: that is some 2 ms of each call.
"""

import contextlib
import fcntl
import os
import subprocess
from pathlib import Path

_MFD_EXEC = 0x10  # Linux 6.3; needed where the machine says that memory is not executed unless asked for
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_TRY_SECONDS_MAX = 5.0


def seal(program: str, link: Path) -> int:
    """Copy a program into memory and have `link` lead there; the descriptor that keeps it, or -1 when it cannot be.

    The link lasts as long as this process.
    """
    with contextlib.suppress(OSError):
        data = Path(program).read_bytes()
        if not data.startswith(b"\x7fELF"):
            return -1  # a script's interpreter would have to find it again
        memory = _memory(Path(program).name)
        try:
            with open(memory, "wb", closefd=False) as file:
                file.write(data)
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
            link.unlink(missing_ok=True)
            link.symlink_to(f"/proc/{os.getpid()}/fd/{memory}")
            if _runs(link):
                return memory
        except OSError:
            pass
        os.close(memory)
        link.unlink(missing_ok=True)
    return -1


def _memory(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create(name, flags)


def _runs(program: Path) -> bool:
    argv = [str(program), "--version"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRY_SECONDS_MAX, check=False
        )
        return done.returncode == 0
    return False
