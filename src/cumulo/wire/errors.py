"""The one place that turns exceptions into answers."""

import errno
import logging
import re
from collections.abc import Mapping

import msgspec

from cumulo.base.errors import AwsError
from cumulo.state.store import StoreError
from cumulo.wire import ecr_words, ecs_words, java_words
from cumulo.wire.http import BodyCutShort, Response
from cumulo.wire.models import Metadata, ServiceModel, Shape
from cumulo.wire.protocols import rest
from cumulo.wire.protocols.base import Codec, ErrorBody, Malformed
from cumulo.wire.protocols.registry import codec as make_codec
from cumulo.wire.protocols.rest import Bound, HeaderWriters
from cumulo.wire.validate import Fault, Manner, message

_log = logging.getLogger(__name__)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_INTERNAL = "The service encountered an internal error. Please try again later."


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """How one service calls the common errors."""

    validation: str = "ValidationException"
    malformed: str = "SerializationException"  # a value of the wrong type
    unparsable: str = ""  # no JSON at all, where that has its own name
    internal: str = ""  # empty: what its model has, else InternalFailure
    missing: str = ""  # for a missing member, where it has its own name
    own: Mapping[tuple[str, str], str] = {}  # (member, constraint): a sentence of the service's own
    one: str = (
        ""  # how it tells of the first fault alone, with {path} and {rule}; empty: all, as Java's services do
    )
    by_alphabet: bool = False  # whether it lists choices so
    choice: str = ""  # how it tells of a value that is none of its {choices}, where that has its own words
    manner: Manner = Manner()  # how its sentences tell of the input
    by_class: bool = False  # whether a value of the wrong type is told of by its class in Java


_CHOICES = re.compile(r"(Member must satisfy enum value set: \[)([^\]]*)\]")
_BY_PROTOCOL: Mapping[str, Words] = {
    "query": Words(validation="ValidationError", malformed="MalformedQueryString"),
    "ec2": Words(
        validation="InvalidParameterValue",
        malformed="InvalidParameterValue",
        internal="InternalError",
        missing="MissingParameter",
    ),
    "rest-xml": Words(validation="InvalidRequest", malformed="MalformedXML", internal="InternalError"),
}
_BY_SERVICE: Mapping[str, Words] = {
    "application-autoscaling": Words(by_alphabet=True),
    "apigateway": Words(
        by_class=True,
        manner=Manner(
            names_input=True,
            in_buckets=True,
            tells_null=False,
            sparse=frozenset({"requestTemplates", "responseTemplates"}),
        ),
    ),
    "apigatewayv2": Words(
        validation="BadRequestException",
        malformed="BadRequestException",
        own={
            ("protocolType", "Member must satisfy enum value set: [WEBSOCKET, HTTP]"): (
                "Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]"
            )
        },
    ),
    "batch": Words(validation="ClientException", malformed="ClientException"),
    "ecr": Words(validation="InvalidParameterException", own=ecr_words.OWN, one=ecr_words.SENTENCE),
    "ecs": Words(validation="InvalidParameterException", own=ecs_words.OWN, choice=ecs_words.CHOICES),
    "lambda": Words(unparsable="InvalidRequestContentException"),
    "lightsail": Words(validation="InvalidInputException"),
    "logs": Words(
        validation="InvalidParameterException",
        own={
            (member, "Member must have length less than or equal to 512"): (
                "Invalid LogGroup or LogStream, both must have length less than or equal to 512."
            )
            for member in ("logGroupName", "logStreamName")
        },
    ),
}
_INTERNAL_CODES = (
    "ServiceException",
    "ServerException",
    "InternalServerException",
    "InternalServerError",
    "InternalException",
    "InternalServiceException",
)
_UNMODELED_STATUS: Mapping[str, int] = {
    "AccessDeniedException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "RequestEntityTooLargeException": 413,
    "UnrecognizedClientException": 403,
}


_OLD_NAMES: Mapping[str, Mapping[str, str]] = {
    "query": {
        "IncompleteSignatureException": "IncompleteSignature",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "RequestEntityTooLargeException": "RequestEntityTooLarge",
    },
    "ec2": {
        "IncompleteSignatureException": "AuthFailure",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "UnrecognizedClientException": "AuthFailure",
        "RequestEntityTooLargeException": "RequestEntityTooLarge",
    },
    "s3": {
        "IncompleteSignatureException": "AuthorizationHeaderMalformed",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException": "AccessDenied",
        "UnrecognizedClientException": "InvalidAccessKeyId",
        "RequestEntityTooLargeException": "EntityTooLarge",
    },
}


def words_for(service: str, protocol: str) -> Words:
    """A service's names for the common errors."""
    return _BY_SERVICE.get(service) or _BY_PROTOCOL.get(protocol) or Words()


class Errors:
    """Answers errors of one service in one protocol."""

    def __init__(self, model: ServiceModel, protocol: str, codec: Codec) -> None:
        self._model = model
        self._protocol = protocol
        self._codec = codec
        self._words = words_for(model.name, protocol)
        self._query_codes = {
            shape.name: shape.error.code
            for shape in model.shapes()
            if shape.exception and shape.error is not None and shape.error.code
        }

    def validation(self, faults: list[Fault]) -> AwsError:
        """The error for input that breaks the model's constraints."""
        missing = next((fault.path for fault in faults if fault.missing), "")
        if missing and self._words.missing:
            name = missing[:1].upper() + missing[1:]
            return AwsError(self._words.missing, f"The request must contain the parameter {name}")
        for (member, constraint), own in self._words.own.items():
            if any(fault.path == member and fault.sentence.endswith(constraint) for fault in faults):
                return AwsError(self._words.validation, own)
        if self._words.choice:
            first = faults[0]
            listed = ecs_words.choices(first.sentence)
            if listed:
                return AwsError(
                    self._words.validation, self._words.choice.format(path=first.path, choices=listed)
                )
        if self._words.one:
            first = faults[0]
            rule = first.sentence.rpartition(f" at '{first.path}' failed to satisfy constraint: ")[2]
            rule = rule.replace(", Member must not be null]", "]")
            return AwsError(self._words.validation, self._words.one.format(path=first.path, rule=rule))
        text = message(faults)
        if self._words.by_alphabet:
            text = _CHOICES.sub(lambda found: f"{found[1]}{', '.join(sorted(found[2].split(', ')))}]", text)
        return AwsError(self._words.validation, text)

    def malformed(self, fault: Malformed) -> AwsError:
        """The error for a request that is no sentence of its protocol."""
        if fault.kind == "json" and self._words.unparsable:
            return AwsError(
                self._words.unparsable, f"Could not parse request body into json: {fault.message}"
            )
        said = java_words.by_class(fault.message) if self._words.by_class else fault.message
        return AwsError(self._words.malformed, said)

    def unknown_operation(self, name: str) -> AwsError:
        """The error for an operation that the model does not have, or a path that leads nowhere."""
        if self._protocol == "json":
            return AwsError("UnknownOperationException", "", status=404)
        if self._protocol in {"query", "ec2"}:
            version = self._model.metadata.api_version
            if not name:
                return AwsError("MissingAction", "The request must contain the parameter Action")
            if self._protocol == "ec2":
                return AwsError("InvalidAction", f"The action {name} is not valid for this web service.")
            return AwsError("InvalidAction", f"Could not find operation {name} for version {version}")
        if self._protocol == "rest-xml":
            return AwsError("MethodNotAllowed", "The specified method is not allowed.", status=405)
        return AwsError(
            "AccessDeniedException", "Unable to determine service/operation name to be authorized", status=403
        )

    def internal(self) -> AwsError:
        """The error that hides a bug or a full disk from the client."""
        code = self._words.internal
        if not code:
            code = next((one for one in _INTERNAL_CODES if self._model.error(one)), "InternalFailure")
        return AwsError(code, _INTERNAL, status=500)

    def answer(self, exc: BaseException, request_id: str) -> Response:
        """Any exception as an answer of the service's protocol."""
        return self._codec_answer(self._as_aws(exc, request_id), request_id)

    def _as_aws(self, exc: BaseException, request_id: str) -> AwsError:
        if isinstance(exc, AwsError):
            return exc
        if isinstance(exc, Malformed):
            return self.malformed(exc)
        if isinstance(exc, BodyCutShort):
            return AwsError("IncompleteBody", "The request body terminated unexpectedly")
        if isinstance(exc, StoreError) or (isinstance(exc, OSError) and exc.errno in _NO_SPACE):
            _log.error("request %s: %s", request_id, exc)
        else:
            _log.error("request %s failed in %s", request_id, self._model.name, exc_info=exc)
        return self.internal()

    def _codec_answer(self, error: AwsError, request_id: str) -> Response:
        error = _renamed(error, self._protocol, self._model.metadata.service_id)
        shape = self._model.error(error.code)
        status = _status(error, shape)
        fields, lines, key = self._spelled(error, shape, sender=status < 500)
        body = ErrorBody(
            status=status,
            code=error.code,
            message=error.message,
            message_key=key,
            fields=fields,
            sender=status < 500,
            query_code=self._query_codes.get(error.code, ""),
        )
        response = self._codec.error(body, request_id)
        response.headers += lines
        response.headers += [(name, rest.clean(value)) for name, value in error.headers.items()]
        return response

    def _spelled(
        self, error: AwsError, shape: Shape | None, *, sender: bool
    ) -> tuple[dict[str, object], list[tuple[str, str]], str]:
        """The error's further members, its header lines, and how its message is spelled."""
        if shape is None:
            return dict(error.fields), [], "message"
        bound = Bound(self._model, shape)
        key = next(
            (
                member.location_name or name
                for name, member in bound.body.items()
                if name.lower() == "message" or (member.location_name or "").lower() == "message"
            ),
            "message",
        )
        fields = {
            name: value
            for name, value in error.fields.items()
            if name not in bound.header and value is not None and name.lower() != "message"
        }
        if "Type" in bound.body and error.fields.get("Type", "") is not None:
            fields = {"Type": "User" if sender else "Server", **fields}
        lines = HeaderWriters(self._model, bound).write(error.fields)
        return fields, lines, key


def bare_errors(protocol: str, service: str = "") -> Errors:
    """Who answers errors for a service that is not ours."""
    is_s3 = protocol == "rest-xml"
    metadata = Metadata(
        api_version="", endpoint_prefix=service, protocol=protocol, service_id="S3" if is_s3 else ""
    )
    model = ServiceModel(service, metadata, {}, {})
    return Errors(model, protocol, make_codec(model, protocol))


def _renamed(error: AwsError, protocol: str, service_id: str) -> AwsError:
    """The common errors have other names in the older protocols."""
    dialect = "s3" if service_id == "S3" else protocol
    code = _OLD_NAMES.get(dialect, {}).get(error.code)
    if code is None:
        return error
    return AwsError(code, error.message, status=error.status, fields=error.fields, headers=error.headers)


def _status(error: AwsError, shape: Shape | None) -> int:
    if shape is not None:
        if shape.error is not None and shape.error.http_status_code:
            return shape.error.http_status_code
        return 500 if shape.fault and error.status == 400 else error.status
    return _UNMODELED_STATUS.get(error.code, error.status) if error.status == 400 else error.status
