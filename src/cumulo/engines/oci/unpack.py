"""The process that unpacks one layer: `python -I -S -c ... <request>`, the layer on stdin, the outcome on stdout.

It shuts itself into the new folder (chroot) before it reads a byte, so a path that leads out leads nowhere; what it
does there, `planting` bounds further.  It ends with the control plane.  Only what it needs is imported.
"""

import errno
import os
import sys
from json import dumps, loads

from cumulo.engines.oci.inflate import Inflated
from cumulo.engines.oci.planting import Planter
from cumulo.engines.oci.refusals import Bounds, Refusal, corrupt
from cumulo.engines.oci.tar import Reader
from cumulo.sandbox.kernel import die_with_parent


def main(request: str) -> int:
    """Unpack; the answer is one line of JSON: {"size", "entries"} or {"kind", "message"}."""
    answer = os.dup(1)
    try:
        outcome = _unpack(loads(request))
    except Refusal as error:
        outcome = {"kind": error.kind, "message": str(error)}
    except OSError as error:
        outcome = _failure(error)
    except (ValueError, OverflowError) as error:  # a zero byte in a link, a number that no system call takes
        outcome = {"kind": "corrupt", "message": f"the layer has an entry that cannot be: {error}"}
    os.write(answer, dumps(outcome).encode() + b"\n")
    return 0


def _failure(error: OSError) -> dict[str, object]:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return {"kind": "no-space", "message": "there is no space left for the layer"}
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EINVAL, errno.EMLINK):
        return {"kind": "refused", "message": f"the layer has an entry that cannot be: {error.strerror}"}
    return {"kind": "refused", "message": f"the layer cannot be unpacked: {error}"}


def _unpack(request: dict[str, object]) -> dict[str, object]:
    die_with_parent()
    if os.getppid() != request["parent"]:
        raise corrupt("the control plane has ended")
    folder = str(request["folder"])
    bounds = Bounds(**request["bounds"])  # type: ignore[arg-type]
    layer = Inflated(0, bounds)  # before chroot: it may import, and has read the first bytes at most
    os.chroot(folder)
    os.chdir("/")
    os.umask(0)
    reader, planter = Reader(layer.next), Planter(bounds)
    while (entry := reader.entry()) is not None:
        planter.plant(entry, reader)
    reader.drain()
    _compare(layer, request)
    planter.finish()
    return {"size": planter.bytes, "entries": planter.entries}


def _compare(layer: Inflated, request: dict[str, object]) -> None:
    if request["digest"] and layer.digest != request["digest"]:
        raise corrupt(f"the layer is {layer.digest}, and should be {request['digest']}")
    if request["packed_size"] != -1 and layer.packed_size != request["packed_size"]:
        raise corrupt(f"the layer has {layer.packed_size} bytes, and should have {request['packed_size']}")
    if layer.diff_id != request["diff_id"]:
        raise corrupt(f"the layer's content is {layer.diff_id}, and should be {request['diff_id']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
