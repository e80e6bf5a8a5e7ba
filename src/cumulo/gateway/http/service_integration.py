"""AWS_PROXY to an AWS service (an integration subtype): parameters from the request, the service's answer as it is."""

import asyncio
from typing import Any, Final

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.v2 import Integration, V2Stage
from cumulo.gateway.http.events import Asked
from cumulo.gateway.http.expressions import Facts, value_of
from cumulo.gateway.http.refusals import INTERNAL
from cumulo.gateway.http.subtypes import SUBTYPES, BadParameter
from cumulo.gateway.integrations.headers import from_backend
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Answer, CallFailed, Tools
from cumulo.gateway.visit import Grant, Refused, Visit
from cumulo.wire.http import Response

_REQUEST_IDS: Final = ("x-amzn-requestid", "x-amz-request-id")


class ServiceIntegration:
    """One route's calls of one operation of an AWS service."""

    wants_body: Final = True

    def __init__(self, stage: V2Stage, place: Place, integration: Integration, tools: Tools) -> None:
        self._aws = tools.aws
        self._ids = tools.ids
        self._place = place
        self._variables = stage.variables
        self._seconds = integration.timeout_in_millis / 1000
        self._subtype = SUBTYPES.get(integration.integration_subtype)
        self._values = {name: value_of(text) for name, text in integration.request_parameters.items()}

    async def ask(self, visit: Visit, asked: Asked, grant: Grant | None) -> Response:  # noqa: ARG002 - as all do
        """Call the operation; Refused when nobody answers.  What the service says, errors too, is the answer."""
        told: dict[str, Any] = {}
        visit.context["integration"] = told
        values = self._of(visit, asked)
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._call(values)
        except BadParameter as bad:
            told["error"] = str(bad)
            raise Refused("BAD_REQUEST_PARAMETERS", str(bad)) from bad
        except TimeoutError:
            raise Refused("INTEGRATION_TIMEOUT") from None
        except CallFailed as failed:
            told["error"] = str(failed)
            raise Refused("INTEGRATION_FAILURE") from failed
        except AwsError as error:
            told["error"] = error.message
            raise Refused("INTEGRATION_FAILURE") from error
        headers = from_backend(answer.headers)
        told |= {"status": answer.status, "integrationStatus": answer.status}
        told["requestId"] = next((value for name, value in headers if name.lower() in _REQUEST_IDS), None)
        return Response(answer.status, headers, answer.body)

    def _of(self, visit: Visit, asked: Asked) -> dict[str, str]:
        facts = Facts(
            headers=asked.headers,
            query=asked.arguments,
            path=asked.resource,
            parameters=asked.parameters,
            body=asked.body or b"",
            context=visit.context,
            variables=self._variables,
        )
        read = {name: value.of(facts) for name, value in self._values.items()}
        return {name: value for name, value in read.items() if value is not None}

    async def _call(self, values: dict[str, str]) -> Answer:
        if self._subtype is None:
            raise Refused(INTERNAL, "The integration's subtype is unknown")
        asked = self._subtype.request(values)
        place = self._place
        caller = Caller(
            account=place.account, region=values.get("Region") or place.region, request_id=self._ids.uuid()
        )
        return await self._aws.call(
            caller,
            asked.service,
            asked.method,
            asked.path,
            query=asked.query,
            headers=asked.headers,
            body=asked.body,
        )
