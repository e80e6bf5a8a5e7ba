"""Tokens of orders, and whose they are.  Pure.

<job>/<attempt>           the run of a job, or of a child
<job>/<attempt>/<node>    of a node: the job is `<job>#<node>`
"""


def job_of(token: str) -> str:
    """The id of the job (or node) whose run has this token; empty for what is none."""
    parts = token.split("/")
    if len(parts) == 3:
        return f"{parts[0]}#{parts[2]}"
    return parts[0] if len(parts) == 2 else ""


def attempt_of(token: str) -> int:
    """Which attempt it is, from 1."""
    return int(token.split("/")[1])
