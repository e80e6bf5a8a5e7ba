"""`cumulo batch graph`: what waits for what, as a Mermaid diagram."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import click

from cumulo.cli.batch_drawing import connected, draw, needs
from cumulo.cli.batch_jobs import Job, describe, describe_all, listed
from cumulo.cli.cloud import client, endpoint_option, find_endpoint, talking

LOOKED_MAX: Final = 5000  # jobs of a queue
FIRST: Final = ("PENDING", "SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "FAILED", "SUCCEEDED")
Look = Callable[[Iterable[str]], Mapping[str, Job]]


@click.command("graph")
@click.argument("job", required=False)
@click.option("--queue", metavar="QUEUE", help="All that is in a queue (name or ARN), instead of a job.")
@click.option(
    "--limit", type=click.IntRange(1, 2000), default=200, show_default=True, help="Draw no more jobs."
)
@endpoint_option
def command(job: str | None, queue: str | None, limit: int, endpoint: str | None) -> None:
    """Draw what waits for what, as a Mermaid diagram, on standard output.

    JOB is a job's id or ARN: it is drawn with all that it waits for, and all of its queue that waits for it.  Arrays are one
    box with counts.  GitHub, GitLab and mermaid.live show such diagrams.
    """
    if (job is None) == (queue is None):
        raise click.UsageError("name a job, or a queue with --queue")
    cloud = find_endpoint(endpoint)
    with talking(cloud):
        aws = client("batch", cloud)
        jobs, all_seen = of_job(aws, job) if job is not None else of_queue(aws, queue or "")
    notes = [] if all_seen else [f"Of the queue, no more than {LOOKED_MAX} jobs were looked at."]
    if len(jobs) > limit:
        notes.append(f"{len(jobs) - limit} jobs are left out.")
    click.echo(draw(list(jobs.values()), limit=limit, notes=notes))
    for note in notes:
        click.echo(note, err=True)


def of_job(aws: Any, name: str) -> tuple[dict[str, Job], bool]:
    """A job with everything that it is connected to; whether its whole queue was looked at."""
    (wanted,) = describe_all(aws, [name]).values()
    whole = wanted["jobId"].partition(":")[0].partition("#")[0]
    jobs, all_seen = of_queue(aws, wanted["jobQueue"])
    jobs |= describe_all(aws, [whole])
    return connected(with_needs(jobs, lambda ids: describe(aws, ids)), whole), all_seen


def of_queue(aws: Any, queue: str) -> tuple[dict[str, Job], bool]:
    """The jobs of a queue, those that wait first; and whether these are all."""
    ids: list[str] = []
    for state in FIRST:
        ids += [
            one["jobId"] for one in listed(aws, LOOKED_MAX + 1 - len(ids), jobQueue=queue, jobStatus=state)
        ]
    jobs = describe(aws, ids[:LOOKED_MAX])
    return with_needs(jobs, lambda names: describe(aws, names)), len(ids) <= LOOKED_MAX


def with_needs(jobs: Mapping[str, Job], look: Look) -> dict[str, Job]:
    """Jobs with those of other queues that they wait for, and so on; what is forgotten stays out."""
    found = dict(jobs)
    gone: set[str] = set()
    for _ in range(LOOKED_MAX):  # a chain has no more links than that
        needed = {name for job in found.values() for name, _ in needs(job)}
        missing = needed - found.keys() - gone
        if not missing or len(found) > 2 * LOOKED_MAX:
            break
        more = look(sorted(missing))
        gone |= missing - more.keys()
        found |= more
    return found
