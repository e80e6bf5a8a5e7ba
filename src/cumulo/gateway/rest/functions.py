"""The functions that one method's integration calls: which one may depend on stage variables."""

from cumulo.base.arn import parse_arn
from cumulo.base.clock import Clock
from cumulo.base.ports.functions import InvokeResult, InvokeStream
from cumulo.gateway.integrations.functions import FunctionCall, function_arn, with_variables
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import misconfigured
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools

_KEPT_MAX = 64


class Functions:
    """Finds and calls.  `source` is what a function's policy is asked about: <region>:<account>:<api>/<stage>/GET/pets."""

    def __init__(self, uri: str, credentials: str, *, source: str, place: Place, tools: Tools) -> None:
        self._uri = uri
        self._credentials = credentials
        self._source = source
        self._place = place
        self._tools = tools
        self._arn = None if "${" in uri else function_arn(uri, {})  # the same for every request
        self._calls: dict[str, FunctionCall] = {}
        self.clock: Clock = tools.clock

    def find(self, call: Call) -> str:
        """The ARN of the function that a call is for.  Failed: 500, when the integration names none."""
        arn = self._arn or function_arn(self._uri, call.variables)
        if arn is None:
            raise misconfigured("Invalid Lambda function ARN in the integration's URI")
        return arn

    def endpoint(self, arn: str) -> str:
        """The URL that AWS's logs show."""
        parsed = parse_arn(arn)
        region = parsed.region if parsed is not None else self._place.region
        return f"https://lambda.{region}.amazonaws.com/2015-03-31/functions/{arn}/invocations"

    async def invoke(self, arn: str, payload: bytes, call: Call, seconds: float) -> InvokeResult:
        """Run the function.  FunctionFailed."""
        visit = call.visit
        result = await self._of(arn, call).invoke(payload, seconds=seconds, trace_id=visit.trace)
        visit.trace = result.trace_id or visit.trace  # with what Lambda has added, which clients are told
        return result

    async def stream(self, arn: str, payload: bytes, call: Call) -> InvokeStream:
        """Run the function, and give its answer piece by piece.  FunctionFailed."""
        visit = call.visit
        stream = await self._of(arn, call).stream(payload, trace_id=visit.trace)
        visit.trace = stream.trace_id or visit.trace
        return stream

    def _of(self, arn: str, call: Call) -> FunctionCall:
        made = self._calls.get(arn)
        if made is None:
            if len(self._calls) >= _KEPT_MAX:
                self._calls.clear()
            made = self._calls[arn] = FunctionCall(
                arn,
                source_arn=self._source,
                place=self._place,
                tools=self._tools,
                credentials=with_variables(self._credentials, call.variables),
            )
        return made
