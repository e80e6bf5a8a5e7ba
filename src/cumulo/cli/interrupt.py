"""`cumulo interrupt`: take Spot capacity away."""

import time

import click

from cumulo.cli.cloud import endpoint_option, find_endpoint, find_token, post


@click.command("interrupt")
@click.argument("target")
@endpoint_option
def command(target: str, endpoint: str | None) -> None:
    """Interrupt a Spot instance or a task on FARGATE_SPOT, as AWS does when it needs the capacity.

    TARGET is an instance id (i-...), or the id or ARN of a task.
    """
    cloud = find_endpoint(endpoint)
    told = post(cloud, "/_cumulo/interrupt", {"target": target}, find_token(cloud))
    if "instance" in told:
        seconds = max(0, round(float(told["gone_at"]) - time.time()))  # noqa: TID251 - shown to a person
        click.echo(f"{told['instance']} is warned, and will be terminated in {seconds} s.")
    else:
        click.echo(f"{told['task']} is interrupted.")
