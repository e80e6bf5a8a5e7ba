"""Writing logs of APIs to CloudWatch Logs: one event a request to a stage's access log, and its execution log.

AWS names the streams of a group by the digests of small numbers; here the first of them has everything.
"""

from collections.abc import Iterable
from typing import Final

from cumulo.base.arn import parse_arn
from cumulo.base.ports import LogEvent, LogSink
from cumulo.gateway.observing.formats import compile_format
from cumulo.gateway.observing.variables import Ended
from cumulo.gateway.stages import Place

STREAM: Final = "cfcd208495d565ef66e7dff9f98764da"
EVENT_BYTES_MAX: Final = 1024  # of execution logs
_CUT: Final = b" [TRUNCATED]"
_GROUP: Final = "log-group:"


class AccessLog:
    """The access log of a stage."""

    def __init__(self, account: str, region: str, group: str, form: str, logs: LogSink) -> None:
        self._whose = (account, region, group, STREAM)
        self._render = compile_format(form)
        self._append = logs.append

    def write(self, ended: Ended) -> None:
        """Write a request's line, at the moment at which the request came."""
        self._append(*self._whose, (LogEvent(ended.visit.started_ms, self._render(ended)),))


def access_log(arn: str, form: str, logs: LogSink) -> AccessLog | None:
    """The log that a stage's settings ask for; None where they ask for none."""
    parsed = parse_arn(arn) if arn and form else None
    if parsed is None or parsed.service != "logs" or not parsed.resource.startswith(_GROUP):
        return None
    group = parsed.resource.removeprefix(_GROUP).removesuffix(":*")
    return AccessLog(parsed.account, parsed.region, group, form, logs)


class ExecutionLog:
    """The execution log of a stage."""

    def __init__(self, place: Place, logs: LogSink) -> None:
        group = (
            f"API-Gateway-Execution-Logs_{place.api_id}/{place.stage}"
            if place.kind == "REST"
            else f"/aws/apigateway/{place.api_id}/{place.stage}"
        )
        self._whose = (place.account, place.region, group, STREAM)
        self._append = logs.append

    def write(self, request_id: str, lines: Iterable[tuple[int, str]]) -> None:
        """Write what was told of a request: milliseconds since the epoch, and text."""
        self._append(*self._whose, [LogEvent(at, cut(f"({request_id}) {text}")) for at, text in lines])


def cut(text: str) -> str:
    """An event that is no longer than AWS's."""
    if 4 * len(text) <= EVENT_BYTES_MAX:
        return text
    octets = text.encode(errors="replace")
    if len(octets) <= EVENT_BYTES_MAX:
        return text
    return (octets[: EVENT_BYTES_MAX - len(_CUT)].decode(errors="ignore").encode() + _CUT).decode()
