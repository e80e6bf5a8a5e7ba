# noqa: INP001 - a folder of files for functions, no package of ours
"""Waits for a function, in a process that was started before any was known.

Everything that every function needs is imported beforehand; what depends on the function's environment is not, or
is imported again.  Runs on every Python that a function can ask for.
"""

import contextlib
import gc
import json
import os
import sys
import time

# Imported anew where the environment says so, for they read it when they are imported.
_READS = {"awslambdaric.bootstrap": ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL")}
_READ_BYTES = 65536
_EVENT = '{"text": "a", "whole": [1], "real": 1.5, "none": null, "nested": {"yes": true}}'
_REHEARSAL = """
import os
from json import dumps

class Some:
    def __init__(self, name="some"):
        self.name = name

def handler(event, context):
    try:
        print(f"{event!r}", *[x for x in event if x], **{})
        with open("/tmp/a") as file:
            return {"statusCode": 200, "body": dumps(lambda: -1)}
    except (KeyError, ValueError) as error:
        raise error
"""


def await_function(channel: int) -> None:
    """Prepare, say so, wait, and become the process that the function would have had."""
    _prepare()
    # The function may come while this process still prepares: then nobody listens any more to the word that it
    # waits, and the end of the channel looks like an accident.  What was sent is there all the same.
    with contextlib.suppress(BrokenPipeError):
        os.write(channel, b"W")
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := os.read(channel, _READ_BYTES):
            pieces.append(piece)
    os.close(channel)
    if not pieces:
        os._exit(0)  # whoever started this has gone
    _adopt(json.loads(b"".join(pieces))["env"])
    del sys.modules[__name__]


def _prepare() -> None:
    import _sitebuiltins  # noqa: F401

    import awslambdaric.__main__  # noqa: F401

    _rehearse()
    gc.collect()


def _rehearse() -> None:
    """Do once what a first call does, so that the pages that it needs are there."""
    from awslambdaric.lambda_runtime_marshaller import to_json

    compile(_REHEARSAL, "rehearsal", "exec")
    to_json(json.loads(_EVENT))


def _adopt(env: "dict[str, str]") -> None:
    """Have this environment, the function's folder, and whatever follows from them."""
    clock = os.environ.get("TZ")
    coerced = os.environ.get("LC_CTYPE")  # Python sets this itself where there is no locale of LANG's name
    os.environ.clear()
    os.environ.update(env)
    if coerced is not None:
        os.environ.setdefault("LC_CTYPE", coerced)
    os.chdir("/var/task")
    if env.get("TZ") != clock:
        time.tzset()
    for module, names in _READS.items():
        if any(name in env for name in names):
            _forget(module)


def _forget(module: str) -> None:
    package, _, name = module.rpartition(".")
    for loaded in (module, package + ".__main__"):
        sys.modules.pop(loaded, None)
    delattr(sys.modules[package], name)
