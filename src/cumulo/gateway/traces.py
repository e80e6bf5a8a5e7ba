"""X-Amzn-Trace-Id: `Root=1-<time>-<24 hex>`, then whatever a caller or a service has added.  Pure."""

import re
from typing import Final

CHARACTERS_MAX: Final = 512
_ROOT: Final = re.compile(r"(?:^|;)\s*Root=(1-[0-9a-f]{8}-[0-9a-f]{24})(?=;|$)", re.ASCII)
_OURS: Final = re.compile(r"(?:^|;)\s*(?:Root|Parent|Sampled)=[^;]*", re.ASCII)


def root_of(header: str) -> str:
    """The trace that a header names; empty when it names none."""
    found = _ROOT.search(header)
    return found[1] if found is not None else ""


def continued(header: str, fresh: str) -> str:
    """What a request goes on with that came with `header`: its trace, else the trace `fresh`; other fields are kept."""
    if len(header) > CHARACTERS_MAX or not header.isprintable():
        return f"Root={fresh}"
    if root_of(header):
        return header
    rest = _OURS.sub("", header).strip("; ")
    return f"Root={fresh};{rest}" if "=" in rest else f"Root={fresh}"


def sampled(header: str, parent: str) -> str:
    """The header where a stage traces: whatever comes next has this stage's segment (16 hex) as its parent."""
    rest = _OURS.sub("", header).strip("; ")
    told = f"Root={root_of(header)};Parent={parent};Sampled=1"
    return f"{told};{rest}" if rest else told
