"""What is said of a program before it is executed is what the kernel says."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cumulo.engines.engine import StartFailed
from cumulo.engines.local.inside import Inside
from cumulo.engines.local.programs import Caller, check
from cumulo.engines.local.users import User

BUSYBOX = shutil.which("busybox")
DYNAMIC = "/bin/ls"  # any program of this machine that is not static
FINE = ""
NONE, NO_FOLDER, DENIED, NO_FORMAT, LOOP = (
    os.strerror(number).lower()
    for number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENOEXEC, errno.ELOOP)
)
CASES = [
    ("/bin/static", FINE),
    ("bin/static", FINE),
    ("static", FINE),
    ("/bin/script", FINE),
    ("/bin/of-script", FINE),
    ("/bin/spaced", FINE),
    ("/bin/relative", FINE),
    ("/bin/link", FINE),
    ("/bin/out", FINE),
    ("/usr/bin/static", FINE),
    ("/bin/../bin/./static", FINE),
    ("/bin/dynamic", NONE),
    ("dynamic", NONE),
    ("/nothing", NONE),
    ("/bin/dangling", NONE),
    ("/bin/no-interpreter", NONE),
    ("/bin/of-no-interpreter", NONE),
    ("/notes/x", NO_FOLDER),
    ("/notes/../bin/static", NO_FOLDER),
    ("/bin/on-notes", NO_FOLDER),
    ("/notes", DENIED),
    ("/bin", DENIED),
    ("/bin/on-folder", DENIED),
    ("/bin/plain", NO_FORMAT),
    ("/bin/empty", NO_FORMAT),
    ("/bin/hollow", NO_FORMAT),
    ("/bin/of-plain", NO_FORMAT),
    ("/bin/loop", LOOP),
]
FOR_OTHERS = [
    ("/bin/static", FINE),
    ("/bin/mine", DENIED),
    ("/bin/of-mine", DENIED),
    ("/closed/static", DENIED),
    ("/bin/groups", FINE),
]
HANDLERS = Path("/proc/sys/fs/binfmt_misc")
pytestmark = [
    pytest.mark.skipif(not BUSYBOX, reason="busybox-static is not installed"),
    pytest.mark.skipif(
        HANDLERS.is_dir() and len(list(HANDLERS.iterdir())) > 2, reason="other formats have handlers here"
    ),
]
NOBODY = User(65534, 65534, (4321,))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of an image."""
    made = tmp_path / "root"
    programs = made / "bin"
    programs.mkdir(parents=True)
    (made / "usr").mkdir()
    (made / "usr" / "bin").symlink_to("../../bin")  # .. stops at the root
    shutil.copy(BUSYBOX or "", programs / "static")
    shutil.copy(DYNAMIC, programs / "dynamic")
    lines = {
        "script": "#!/bin/static true\n",
        "of-script": "#!/bin/script",
        "spaced": "#! \t/bin/static\ttrue\n",
        "relative": "#!bin/static true\n",
        "no-interpreter": "#!/nothing\n",
        "of-no-interpreter": "#!/bin/no-interpreter\n",
        "on-notes": "#!/notes/x\n",
        "on-folder": "#!/bin\n",
        "plain": "echo hello\n",
        "of-plain": "#!/bin/plain\n",
        "empty": "",
        "hollow": "#! \n",
        "mine": "#!/bin/static true\n",
        "of-mine": "#!/bin/mine\n",
        "groups": "#!/bin/static true\n",
    }
    for name, text in lines.items():
        (programs / name).write_text(text)
    for path in programs.iterdir():
        path.chmod(0o755)
    (programs / "mine").chmod(0o700)
    (programs / "groups").chmod(0o710)
    if os.geteuid() == 0:
        os.chown(programs / "groups", 0, 4321)
    for name, target in {
        "link": "/bin/static",
        "out": "../../../../bin/script",
        "dangling": "/x",
        "loop": "loop",
    }.items():
        (programs / name).symlink_to(target)
    (made / "notes").write_text("no program\n")
    (made / "closed").mkdir(mode=0o700)
    shutil.copy(programs / "static", made / "closed" / "static")
    return made


def told(root: Path, program: str, covered: tuple[str, ...] = (), **caller: object) -> str:
    values = {"cwd": "/", "path": "/usr/bin:/bin", "user": User(), "capabilities": {"DAC_OVERRIDE"}} | caller
    with Inside(str(root)) as inside:
        try:
            check(inside, program, Caller(**values), covered)  # type: ignore[arg-type]
        except StartFailed as error:
            return (
                str(error).partition(": ")[2].partition(" (")[0] if error.kind == "entrypoint" else error.kind
            )
    return ""


def kernel_says(root: Path, program: str, user: User) -> str:
    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)

    argv = ["static" if program.endswith("static") else program, "true"]
    path = program if "/" in program else f"/bin/{program}"
    environment = {"PATH": "/bin"}
    try:
        subprocess.run(argv, executable=path, preexec_fn=enter, env=environment, check=False)
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    return FINE


@pytest.mark.parametrize(("program", "expected"), CASES)
def test_what_the_program_needs_is_looked_for(root: Path, program: str, expected: str) -> None:
    assert told(root, program) == expected


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(
    ("user", "program", "expected"),
    [(User(), *case) for case in CASES] + [(NOBODY, *case) for case in FOR_OTHERS],
)
def test_the_kernel_says_the_same(root: Path, user: User, program: str, expected: str) -> None:
    held = {"DAC_OVERRIDE"} if user.uid == 0 else set()
    assert kernel_says(root, program, user) == expected
    assert told(root, program, user=user, capabilities=held) == expected


@pytest.mark.parametrize(
    ("program", "mount"),
    [
        ("/bin/dynamic", "/lib64"),
        ("/bin/dynamic", "/lib64/ld-linux-x86-64.so.2"),
        ("/bin/dangling", "/x"),
        ("/bin/plain", "/usr/bin"),  # which is /bin
        ("/bin/plain", "/usr/bin/plain"),
        ("/notes", "/notes"),
        ("plain", "/bin"),
        ("/proc/self/exe", "/proc"),
    ],
)
def test_what_will_be_mounted_is_not_judged(root: Path, program: str, mount: str) -> None:
    assert told(root, program, (mount, "/elsewhere/deep")) == FINE


def test_a_program_that_path_does_not_lead_to_is_the_runtimes_to_tell(root: Path) -> None:
    for program, path in (("nothing", "/bin"), ("static", ""), ("static", "/notes"), ("", "/bin")):
        assert told(root, program, path=path) == FINE
    assert told(root, "plain", path="/nothing:/notes:/bin") == NO_FORMAT
    assert told(root, "plain", cwd="/bin", path=":/nothing") == NO_FORMAT


def test_names_need_not_be_text(root: Path) -> None:
    (root / "bin" / "plain").write_bytes(b"#!/b\xffn/x\n")
    assert told(root, "/bin/plain") == NONE
    (root / "bin" / os.fsdecode(b"\xff")).symlink_to("script")
    (root / "bin" / "plain").write_bytes(b"#!/bin/\xff\n")
    assert told(root, "/bin/plain") == FINE


def test_what_is_for_another_machine_or_broken_is_not_judged(root: Path) -> None:
    raw = bytearray((root / "bin" / "dynamic").read_bytes())
    for at, value in ((18, 0xFF), (4, 1), (56, 0xFF)):
        changed = bytearray(raw)
        changed[at] = value
        (root / "bin" / "dynamic").write_bytes(changed)
        assert told(root, "/bin/dynamic") == FINE
    for length in (3, 4, 20, 60, 100, 256, 300):
        (root / "bin" / "dynamic").write_bytes(raw[:length])
        told(root, "/bin/dynamic")
