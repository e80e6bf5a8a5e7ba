"""The image of the container that holds a pod's network: one program that waits for ever, written here byte by byte."""

import hashlib
import io
import json
import struct
import tarfile

REFERENCE = "cumulo.local/pause:1"

_X86_64 = bytes.fromhex(
    "b822000000"  # again: mov eax, 34   pause(2): sleep until a signal comes
    "0f05"  #              syscall
    "ebf7"  #              jmp again     9 bytes back
)
_AARCH64 = bytes.fromhex(
    "000080d2"  # again: mov x0, 0       ppoll(NULL, 0, NULL, NULL, 0): this processor has no pause(2)
    "010080d2"  #        mov x1, 0
    "020080d2"  #        mov x2, 0
    "030080d2"  #        mov x3, 0
    "040080d2"  #        mov x4, 0
    "280980d2"  #        mov x8, 73      the number of ppoll
    "010000d4"  #        svc 0
    "f9ffff17"  #        b again         7 instructions back
)
_PROGRAMS = {"amd64": (62, _X86_64), "arm64": (183, _AARCH64)}  # ELF's number of the machine, and the code
_HEADERS = 64 + 56
_BASE = 0x400000


def architectures() -> tuple[str, ...]:
    """What there is a program for, in OCI's words."""
    return tuple(_PROGRAMS)


def program(architecture: str) -> bytes:
    """A static ELF executable of about 130 bytes; KeyError for a processor that we have no code for."""
    machine, code = _PROGRAMS[architecture]
    size = _HEADERS + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",  # 64 bits, little endian, version 1
        2,  # an executable
        machine,
        1,
        _BASE + _HEADERS,  # where it begins
        64,  # the table of segments follows this header
        0,  # no sections
        0,
        64,
        56,
        1,  # one segment
        0,
        0,
        0,
    )
    # PT_LOAD, readable and executable: the whole file, at _BASE
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def archive(architecture: str) -> bytes:
    """The image as `docker load` takes it."""
    layer = _tar({"pause": (program(architecture), 0o755)})
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/pause"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    table = json.dumps([{"Config": "config.json", "RepoTags": [REFERENCE], "Layers": ["layer.tar"]}]).encode()
    files = {"config.json": config, "layer.tar": layer, "manifest.json": table}
    return _tar({name: (content, 0o644) for name, content in files.items()})


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
