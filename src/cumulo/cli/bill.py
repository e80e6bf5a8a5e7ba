"""`cumulo bill`: what AWS would charge for what was run."""

import json

import click

from cumulo.cli.cloud import Failed, endpoint_option, fetch, find_endpoint, on_terminal


@click.command("bill")
@click.option("--month", metavar="YYYY-MM", help="A month in UTC. Default: this one.")
@click.option("--service", help="Only this service, for instance lambda.")
@click.option("--resource", help="Only this resource, by its name or ARN.")
@click.option("--account", help="Only this account.")
@click.option("--region", help="Only this region.")
@click.option("--group", metavar="BY", help="service, kind, resource, account, region, day, hour or tag:KEY.")
@click.option("--explain", is_flag=True, help="Show the arithmetic of each line.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@endpoint_option
def command(
    month: str | None,
    service: str | None,
    resource: str | None,
    account: str | None,
    region: str | None,
    group: str | None,
    explain: bool,
    as_json: bool,
    endpoint: str | None,
) -> None:
    """Show what AWS would charge for what was run.

    Once with AWS's free tier and once at list price, and what the month will come to at this pace.
    """
    from urllib.parse import urlencode

    from cumulo.meter.table import table

    asked = {
        "month": month,
        "service": service,
        "resource": resource,
        "account": account,
        "region": region,
        "group": group,
        "explain": "1" if explain else None,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    cloud = find_endpoint(endpoint)
    body = fetch(cloud, f"/_cumulo/bill?{query}")
    try:
        bill = json.loads(body)
        text = table(bill, by_group=group is not None, explain=explain)
    except (ValueError, KeyError, TypeError) as exc:
        raise Failed(f"{cloud} did not answer with a bill: is it a Cumulo cloud?") from exc
    if as_json:
        click.echo(json.dumps(bill, indent=2))
        return
    for line in text.splitlines():
        emphasis = line.startswith(("Bill for", "So far"))
        click.echo(click.style(line, bold=True) if emphasis and on_terminal() else line)
