# ruff: noqa: INP001
"""Turns a collection of price notes (JSON) into the price book that Cumulo ships.

python scripts/prices.py NOTES.json src/cumulo/meter/prices/us-east-1.json
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

HOURS_PER_MONTH = 744  # Lightsail's: an hour costs this part of the month, so a month is never more than one
Line = dict[str, Any]


def text(number: Any) -> str:
    """A number as plain decimal digits."""
    return f"{Decimal(str(number)):f}"


def line(
    service: str, kind: str, unit: str, note: Any, *, per: int = 1, confirmed: bool | None = None
) -> Line:
    """A line with one price."""
    found = {"service": service, "kind": kind, "unit": unit, "tiers": [{"price": text(note["price_usd"])}]}
    return found | extras(per, note["confirmed"] if confirmed is None else confirmed)


def tiered(
    service: str, kind: str, unit: str, notes: list[Any], bound: str, *, per: int = 1, times: int = 1
) -> Line:
    """A line with tiers, whose bounds are `times` the notes' numbers."""
    tiers = []
    for note in notes:
        upto = note[bound]
        tiers.append(
            {"price": text(note["price_usd"])} | ({} if upto is None else {"up_to": text(int(upto * times))})
        )
    found = {"service": service, "kind": kind, "unit": unit, "tiers": tiers}
    return found | extras(per, all(note["confirmed"] for note in notes))


def monthly(service: str, kind: str, price: Any, confirmed: bool) -> Line:
    """A line that is counted by the hour and priced by the month."""
    found = {"service": service, "kind": kind, "unit": "hour", "tiers": [{"price": text(price)}]}
    return found | extras(HOURS_PER_MONTH, confirmed)


def extras(per: int, confirmed: bool) -> Line:
    """What is written only when it is not the default."""
    return ({} if per == 1 else {"per": per}) | ({} if confirmed else {"confirmed": False})


def lambda_lines(notes: Any) -> list[Line]:
    """AWS Lambda."""
    million, gb_s = 1_000_000, "GB-second"
    lines = [line("lambda", "requests", "request", notes["requests"], per=million)]
    for arch in ("x86", "arm64"):
        lines.append(tiered("lambda", f"duration_{arch}", gb_s, notes[f"duration_{arch}"], "tier_up_to_gb_s"))
        lines.append(
            line("lambda", f"provisioned_concurrency_{arch}", gb_s, notes[f"provisioned_concurrency_{arch}"])
        )
        lines.append(line("lambda", f"provisioned_duration_{arch}", gb_s, notes[f"pc_duration_{arch}"]))
        lines.append(
            line("lambda", f"tenant_environment_{arch}", "GB", notes[f"tenant_isolation_env_created_{arch}"])
        )
    return [
        *lines,
        line("lambda", "ephemeral_storage", gb_s, notes["ephemeral_storage"]),
        line("lambda", "response_streaming", "GB", notes["response_streaming"]),
        line("lambda", "snapstart_cache", gb_s, notes["snapstart_cache"]),
        line("lambda", "snapstart_restore", "GB", notes["snapstart_restore"]),
        line("lambda", "durable_operations", "operation", notes["durable_operations"], per=million),
        line("lambda", "durable_written", "GB", notes["durable_data_written"]),
        line("lambda", "durable_retained", "GB-month", notes["durable_data_retained"]),
        line("lambda", "poller", "hour", notes["esm_provisioned_poller_unit"]),
        line("lambda", "poller_sqs", "hour", notes["esm_provisioned_poller_unit_sqs"]),
    ]


def logs_lines(notes: Any) -> list[Line]:
    """CloudWatch Logs; its tiers count decimal terabytes."""
    return [
        line("logs", "ingestion", "GB", notes["ingestion_standard"]),
        tiered(
            "logs", "ingestion_lambda", "GB", notes["ingestion_lambda_tiers"], "tier_up_to_tb", times=1000
        ),
        line("logs", "ingestion_infrequent_access", "GB", notes["ingestion_infrequent_access"]),
        line("logs", "storage", "GB-month", notes["storage"]),
        line("logs", "insights_scanned", "GB", notes["insights_scanned"]),
    ]


def apigateway_lines(notes: Any) -> list[Line]:
    """API Gateway."""
    million = 1_000_000
    calls = [
        tiered("apigateway", kind, unit, notes[name], "tier_up_to_m", per=million, times=million)
        for kind, unit, name in (
            ("rest_requests", "request", "rest"),
            ("http_requests", "request", "http"),
            ("websocket_messages", "message", "websocket_messages"),
        )
    ]
    minutes = notes["websocket_connection_minutes"]
    caches = [
        line("apigateway", f"cache:{size}", "hour", note) for size, note in notes["cache_hourly"].items()
    ]
    return [
        *calls,
        line("apigateway", "connection_minutes", "connection-minute", minutes, per=million),
        *caches,
    ]


def ecs_lines(fargate: Any, ecs: Any) -> list[Line]:
    """Fargate, which is billed as part of ECS."""
    lines = []
    for platform, parts in fargate.items():
        if not isinstance(parts, dict) or "vcpu" not in parts:
            continue
        lines.append(line("ecs", f"fargate_{platform}_vcpu", "vCPU-hour", parts["vcpu"]))
        lines.append(line("ecs", f"fargate_{platform}_gb", "GB-hour", parts["gb"]))
        if "os_license" in parts:
            lines.append(line("ecs", f"fargate_{platform}_os", "vCPU-hour", parts["os_license"]))
    lines.append(line("ecs", "fargate_ephemeral_storage", "GB-hour", fargate["ephemeral_storage"]))
    return [*lines, line("ecs", "external_instance", "hour", ecs["ecs_anywhere"])]


def ec2_lines(notes: Any) -> list[Line]:
    """EC2 instances, on demand and at a typical Spot price."""
    lines = []
    for name, kind in notes["types"].items():
        lines.append(line("ec2", f"instance:{name}", "hour", {"price_usd": kind["on_demand_hourly"]} | kind))
        spot = kind.get("typical_spot_hourly")
        if spot is not None:
            note = {"price_usd": spot, "confirmed": kind.get("spot_confirmed", False)}
            lines.append(line("ec2", f"spot:{name}", "hour", note))
    lines.append(line("ec2", "public_ipv4", "hour", notes["public_ipv4"]))
    return [*lines, line("ec2", "ebs_gp3", "GB-month", notes["ebs_gp3"])]


def ecr_lines(notes: Any) -> list[Line]:
    """ECR; a terabyte of storage and of transfer has 1,024 GB."""
    bound, times = "tier_up_to_tb", 1024
    return [
        line("ecr", "storage", "GB-month", notes["storage_standard"]),
        tiered("ecr", "storage_archive", "GB-month", notes["storage_archive"], bound, times=times),
        line("ecr", "archive_restore", "GB", notes["archive_restore"]),
        tiered("ecr", "transfer_out", "GB", notes["transfer_out_internet"], bound, times=times),
    ]


def lightsail_lines(notes: Any) -> list[Line]:
    """Lightsail: flat prices, by the hour up to the month's."""
    name = "lightsail"
    lines = [
        monthly(name, f"bundle:{b['bundleId']}", b["monthly_usd"], b["confirmed"]) for b in notes["bundles"]
    ]
    for power, note in notes["container_powers"].items():
        lines.append(monthly(name, f"container:{power}", note["monthly_usd"], note["confirmed"]))
    for size, note in notes["databases"].items():
        lines.append(monthly(name, f"database:{size}", note["standard_monthly"], note["confirmed"]))
        lines.append(monthly(name, f"database_ha:{size}", note["ha_monthly"], note["confirmed"]))
    for kind, table in (("distribution", notes["distributions"]), ("bucket", notes["buckets"])):
        lines += [
            monthly(name, f"{kind}:{size}", n["price_usd"], n["confirmed"]) for size, n in table.items()
        ]
    balancer = notes["load_balancer"]
    return [
        *lines,
        monthly(name, "load_balancer", balancer["price_usd"], balancer["confirmed"]),
        line(name, "disk", "GB-month", notes["disk"]),
        line(name, "snapshot", "GB-month", notes["snapshot"]),
        line(name, "static_ip_unattached", "hour", notes["static_ip_unattached"]),
        line(name, "transfer_overage", "GB", notes["data_transfer_overage"]),
        line(name, "container_transfer_overage", "GB", notes["container_overage"]),
    ]


def free(notes: Any) -> list[Line]:
    """The free tier."""
    always = notes["lambda"]["free_tier_always"]
    logs = notes["cloudwatch_logs"]["free_tier"]
    year = notes["apigateway"]["free_tier_12_months"]
    ingestion = ["ingestion", "ingestion_lambda", "ingestion_infrequent_access"]
    return [
        allowance("lambda", ["requests"], "request", always["requests"]),
        allowance("lambda", ["duration_x86", "duration_arm64"], "GB-second", always["gb_seconds"]),
        allowance("lambda", ["response_streaming"], "GB", always["streaming_gib"]),
        allowance("logs", ingestion, "GB", logs["ingest_gb"]),
        allowance("logs", ["storage"], "GB-month", logs["storage_gb"]),
        allowance("apigateway", ["rest_requests"], "request", year["rest_requests"], always=False),
        allowance("apigateway", ["http_requests"], "request", year["http_requests"], always=False),
        allowance("apigateway", ["websocket_messages"], "message", year["ws_messages"], always=False),
        allowance(
            "apigateway",
            ["connection_minutes"],
            "connection-minute",
            year["ws_connection_minutes"],
            always=False,
        ),
        allowance(
            "ecr", ["storage"], "GB-month", notes["ecr"]["free_tier"]["private_gb_month"], always=False
        ),
    ]


def allowance(service: str, kinds: list[str], unit: str, quantity: Any, *, always: bool = True) -> Line:
    """One entry of the free tier."""
    found = {"service": service, "kinds": kinds, "unit": unit, "quantity": text(quantity)}
    return found | ({} if always else {"always": False})


def book(notes: Any) -> Line:
    """The whole book."""
    return {
        "region": notes["_meta"]["region"],
        "currency": notes["_meta"]["currency"],
        "as_of": notes["_meta"]["as_of"].split(" ")[0],
        "note": (
            "AWS list prices without tax.  A line asks `price` for every `per` units (1 when it is left out); "
            "`up_to` bounds a tier by month, account and region.  `confirmed: false` marks numbers that could not "
            "be checked twice; Spot prices move.  Lightsail's months are priced by the hour, as 1/744."
        ),
        "lines": [
            *lambda_lines(notes["lambda"]),
            *logs_lines(notes["cloudwatch_logs"]),
            *apigateway_lines(notes["apigateway"]),
            *ecs_lines(notes["fargate"], notes["ecs"]),
            *ec2_lines(notes["ec2"]),
            *ecr_lines(notes["ecr"]),
            *lightsail_lines(notes["lightsail"]),
        ],
        "free": free(notes),
    }


def render(content: Line) -> str:
    """JSON with one line of text for each entry, so that a change of price is a change of one line."""
    head = [
        f" {json.dumps(key)}: {json.dumps(content[key])}," for key in ("region", "currency", "as_of", "note")
    ]
    parts = []
    for key in ("lines", "free"):
        rows = ",\n".join(f"  {json.dumps(entry)}" for entry in content[key])
        parts.append(f' "{key}": [\n{rows}\n ]')
    return "{\n" + "\n".join(head) + "\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Read the notes, write the book."""
    notes, target = sys.argv[1:]
    content = json.loads(Path(notes).read_text(), parse_float=Decimal)
    Path(target).write_text(render(book(content)))


if __name__ == "__main__":
    main()
