"""Jobs and what they wait for as a Mermaid flowchart.  Pure.

flowchart LR
    j0["map<br/>array of 10: 10 SUCCEEDED"]:::SUCCEEDED
    j1["reduce<br/>RUNNING"]:::RUNNING
    j0 --> j1
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from cumulo.cli.batch_jobs import Job, counts_of, is_array, told_counts

COLOURS: Final[Mapping[str, str]] = {
    "SUBMITTED": "fill:#eceff1,stroke:#90a4ae,color:#000",
    "PENDING": "fill:#eceff1,stroke:#607d8b,color:#000",
    "RUNNABLE": "fill:#fff8e1,stroke:#ffb300,color:#000",
    "STARTING": "fill:#e3f2fd,stroke:#64b5f6,color:#000",
    "RUNNING": "fill:#bbdefb,stroke:#1e88e5,color:#000",
    "SUCCEEDED": "fill:#c8e6c9,stroke:#43a047,color:#000",
    "FAILED": "fill:#ffcdd2,stroke:#e53935,color:#000",
    "GONE": "fill:#fff,stroke:#bbb,color:#888,stroke-dasharray:4",
}


def draw(jobs: Sequence[Job], *, limit: int, notes: Sequence[str] = ()) -> str:
    """The diagram of at most so many jobs, those with dependencies first; with notes for who reads it."""
    chosen = sorted(_connected_first(jobs)[:limit], key=_age)
    names = {job["jobId"]: f"j{number}" for number, job in enumerate(chosen)}
    known = {job["jobId"] for job in jobs}
    lines = ["flowchart LR"]
    lines += [f'    {names[job["jobId"]]}["{label(job)}"]:::{job["status"]}' for job in chosen]
    edges: list[str] = []
    for job in chosen:
        for needed, kind in needs(job):
            if needed not in names and needed not in known:
                names[needed] = f"j{len(names)}"
                lines.append(f'    {names[needed]}["{_text(needed[:8])}<br/>forgotten"]:::GONE')
            if needed in names:
                arrow = f"-->|{kind}|" if kind else "-->"
                edges.append(f"    {names[needed]} {arrow} {names[job['jobId']]}")
    return "\n".join([*lines, *edges, *_classes(lines), *(f"    %% {note}" for note in notes)])


def connected(jobs: Mapping[str, Job], start: str) -> dict[str, Job]:
    """The jobs that a job waits for, and that wait for it, and so on in each direction; not their other relations."""
    following: dict[str, list[str]] = {}
    for name, job in jobs.items():
        for needed, _ in needs(job):
            following.setdefault(needed, []).append(name)
    before = _reach(start, lambda name: [one for one, _ in needs(jobs[name])] if name in jobs else ())
    after = _reach(start, lambda name: following.get(name, ()))
    return {name: job for name, job in jobs.items() if name in before or name in after}


def needs(job: Job) -> list[tuple[str, str]]:
    """The jobs that a job waits for, and how: empty, N_TO_N, or for which child of an array."""
    found = []
    for one in job.get("dependsOn", ()):
        whole, _, child = str(one.get("jobId") or "").partition(":")
        if whole:
            found.append((whole, f"child {child}" if child else str(one.get("type") or "")))
    return found


def label(job: Job) -> str:
    """What is in a job's box."""
    name = _text(str(job["jobName"]))
    if is_array(job):
        in_turn = any(one.get("type") == "SEQUENTIAL" for one in job.get("dependsOn", ()))
        kind = f"array of {job['arrayProperties']['size']}{', one after another' if in_turn else ''}"
        return f"{name}<br/>{kind}: {told_counts(counts_of(job))}"
    nodes = job.get("nodeProperties", {}).get("numNodes")
    return f"{name}<br/>{f'{nodes} nodes: ' if nodes else ''}{job['status']}"


def _connected_first(jobs: Sequence[Job]) -> list[Job]:
    """Those with dependencies or dependents first, each kind in the order of coming."""
    tied = {job["jobId"] for job in jobs if needs(job)} | {one for job in jobs for one, _ in needs(job)}
    return sorted(jobs, key=lambda job: (job["jobId"] not in tied, _age(job)))


def _age(job: Job) -> tuple[int, str]:
    return job.get("createdAt", 0), job["jobId"]


def _reach(start: str, step: Any) -> Collection[str]:
    reached, todo = {start}, [start]
    while todo:
        for one in step(todo.pop()):
            if one not in reached:
                reached.add(one)
                todo.append(one)
    return reached


def _classes(lines: Sequence[str]) -> Iterator[str]:
    used = {line.rpartition(":::")[2] for line in lines}
    return (f"    classDef {state} {style}" for state, style in COLOURS.items() if state in used)


def _text(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "#lt;")
