"""What the platform itself writes into a function's log, and what it bills.  Pure."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from cumulo.base.ports import Usage
from cumulo.services.lambda_.model import Version


def billed_ms_of(duration_ms: float, init_ms: float | None) -> int:
    """Whole milliseconds of init and run together, as AWS bills since August 2025."""
    return math.ceil(round(duration_ms + (init_ms or 0.0), 2))


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one invocation.  `init_ms` is None but for an environment's first."""

    request_id: str
    duration_ms: float
    billed_ms: int
    memory_mib: int
    used_mib: int
    init_ms: float | None = None
    status: str = ""
    error_type: str = ""


class Init(msgspec.Struct, frozen=True):
    """The figures of an initialisation that failed; `phase` is init, or invoke when it was run again."""

    duration_ms: float
    phase: str
    status: str
    error_type: str = ""


class Reporter(Protocol):
    """Words the platform's events; an empty answer means that nothing is written."""

    def init_start(self, at: float, runtime: str, runtime_arn: str) -> str:
        """A runtime begins to initialise."""
        ...

    def init_report(self, at: float, init: Init) -> str:
        """An initialisation failed."""
        ...

    def start(self, at: float, request_id: str) -> str:
        """An invocation begins."""
        ...

    def end(self, at: float, request_id: str) -> str:
        """An invocation is over."""
        ...

    def report(self, at: float, run: Run) -> str:
        """What an invocation took."""
        ...


class TextReporter:
    """LogFormat Text."""

    def __init__(self, version: Version) -> None:
        self._version = version.version

    def init_start(self, at: float, runtime: str, runtime_arn: str) -> str:  # noqa: ARG002
        """A runtime begins to initialise; AWS says so only of its own."""
        if not runtime:
            return ""
        return f"INIT_START Runtime Version: {runtime}\tRuntime Version ARN: {runtime_arn}\n"

    def init_report(self, at: float, init: Init) -> str:  # noqa: ARG002
        """An initialisation failed."""
        error = f"\tError Type: {init.error_type}" if init.error_type else ""
        return (
            f"INIT_REPORT Init Duration: {init.duration_ms:.2f} ms\tPhase: {init.phase}\t"
            f"Status: {init.status}{error}\n"
        )

    def start(self, at: float, request_id: str) -> str:  # noqa: ARG002
        """An invocation begins."""
        return f"START RequestId: {request_id} Version: {self._version}\n"

    def end(self, at: float, request_id: str) -> str:  # noqa: ARG002
        """An invocation is over."""
        return f"END RequestId: {request_id}\n"

    def report(self, at: float, run: Run) -> str:  # noqa: ARG002
        """What an invocation took."""
        tail = "" if run.init_ms is None else f"Init Duration: {run.init_ms:.2f} ms\t"
        if run.status:
            tail += f"Status: {run.status}"
            tail += f"\tError Type: {run.error_type}" if run.error_type else ""
        return (
            f"REPORT RequestId: {run.request_id}\tDuration: {run.duration_ms:.2f} ms\t"
            f"Billed Duration: {run.billed_ms} ms\tMemory Size: {run.memory_mib} MB\t"
            f"Max Memory Used: {run.used_mib} MB\t{tail}\n"
        )


class JsonReporter:
    """LogFormat JSON: the same events as objects; SystemLogLevel WARN keeps only what went wrong."""

    def __init__(self, version: Version) -> None:
        self._version = version
        level = version.logging.system_level or "INFO"
        self._quiet = level == "WARN"
        self._debug = level == "DEBUG"

    def init_start(self, at: float, runtime: str, runtime_arn: str) -> str:
        """A runtime begins to initialise."""
        if self._quiet:
            return ""
        record = {
            "initializationType": "on-demand",
            "phase": "init",
            **({"runtimeVersion": runtime, "runtimeVersionArn": runtime_arn} if runtime else {}),
            "functionName": self._version.name,
            "functionVersion": self._version.version,
        }
        return _event(at, "platform.initStart", record)

    def init_report(self, at: float, init: Init) -> str:
        """An initialisation failed."""
        record: dict[str, object] = {
            "initializationType": "on-demand",
            "phase": init.phase,
            "status": init.status,
            "metrics": {"durationMs": round(init.duration_ms, 3)},
        }
        if init.error_type:
            record["errorType"] = init.error_type
        return _event(at, "platform.initReport", record)

    def start(self, at: float, request_id: str) -> str:
        """An invocation begins."""
        if self._quiet:
            return ""
        return _event(at, "platform.start", {"requestId": request_id, "version": self._version.version})

    def end(self, at: float, request_id: str) -> str:
        """An invocation is over: a DEBUG event here."""
        return _event(at, "platform.runtimeDone", {"requestId": request_id}) if self._debug else ""

    def report(self, at: float, run: Run) -> str:
        """What an invocation took."""
        if self._quiet and not run.status:
            return ""
        metrics: dict[str, object] = {
            "durationMs": round(run.duration_ms, 3),
            "billedDurationMs": run.billed_ms,
            "memorySizeMB": run.memory_mib,
            "maxMemoryUsedMB": run.used_mib,
        }
        if run.init_ms is not None:
            metrics["initDurationMs"] = round(run.init_ms, 3)
        record: dict[str, object] = {
            "requestId": run.request_id,
            "metrics": metrics,
            "status": run.status or "success",
        }
        if run.error_type:
            record["errorType"] = run.error_type
        return _event(at, "platform.report", record)


def reporter_for(version: Version) -> Reporter:
    """The words for a function's log format."""
    return JsonReporter(version) if version.logging.format == "JSON" else TextReporter(version)


def usage(version: Version, billed_ms: int, start_ms: int, end_ms: int) -> tuple[Usage, ...]:
    """What one invocation is billed for: one batch."""
    arn = version.function_arn
    seconds = billed_ms / 1000
    kind = "duration_arm64" if version.architecture == "arm64" else "duration_x86"

    account, region = version.account, version.region
    gb_seconds = seconds * version.memory_mib / 1024
    records = (
        Usage(account, region, "lambda", "requests", arn, 1.0, start_ms, end_ms),
        Usage(account, region, "lambda", kind, arn, gb_seconds, start_ms, end_ms),
    )
    if version.tmp_mib <= 512:
        return records
    extra = seconds * (version.tmp_mib - 512) / 1024
    return (*records, Usage(account, region, "lambda", "ephemeral_storage", arn, extra, start_ms, end_ms))


def _event(at: float, kind: str, record: Mapping[str, object]) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    time = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    return msgspec.json.encode({"time": time, "type": kind, "record": record}).decode()
