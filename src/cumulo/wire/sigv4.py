"""AWS Signature Version 4: who signed a request, and whether the signature is theirs."""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote, unquote, unquote_to_bytes

import msgspec

from cumulo.base.errors import AwsError
from cumulo.wire.http import Headers, Request
from cumulo.wire.keys import Key
from cumulo.wire.protocols.scalars import iso8601

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS_MAX = 900.0
PRESIGNED_SECONDS_MAX = 604_800
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{64}")
_S3 = frozenset({"s3", "s3express", "s3-object-lambda"})
_UNRESERVED = "-_.~"


class Scope(msgspec.Struct, frozen=True):
    """A credential scope: whose key, which day, region and service."""

    access_key: str
    date: str
    region: str
    service: str


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a signed request says of its signature."""

    scope: Scope
    signed: tuple[str, ...]
    signature: str
    stamp: str
    token: str
    presigned: bool = False
    expires_s: int = 0


def parse_scope(text: str) -> Scope | None:
    """AKID/20240101/us-east-1/lambda/aws4_request; None when it is none.  An access key may hold slashes."""
    parts = text.strip().rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not parts[0]:
        return None
    return Scope(parts[0], parts[1], parts[2], parts[3])


def scope_text(request: Request) -> str:
    """The credential scope as the request spells it, from header or query; empty when there is none."""
    header = request.headers.get("authorization")
    at = header.find("Credential=")
    if at >= 0:
        end = header.find(",", at)
        return header[at + 11 :] if end < 0 else header[at + 11 : end]
    at = request.query.find("X-Amz-Credential=")
    if at >= 0 and (at == 0 or request.query[at - 1] == "&"):
        return unquote(request.query[at + 17 :].partition("&")[0])
    return ""


def signature_of(request: Request) -> Signature:
    """Read the signature from header or query; AwsError when there is none or it is incomplete."""
    header = request.headers.get("authorization")
    if header:
        return _from_header(header, request.headers)
    if "X-Amz-Signature=" in request.query or "X-Amz-Algorithm=" in request.query:
        return _from_query(request.query)
    raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)


def _from_header(header: str, headers: Headers) -> Signature:
    algorithm, _, rest = header.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    parts: dict[str, str] = {}
    for piece in rest.split(","):
        name, _, value = piece.strip().partition("=")
        parts[name] = value.strip()
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parts.get(name)]
    stamp = headers.get("x-amz-date") or _basic_date(headers.get("date"))
    texts = [f"Authorization header requires '{name}' parameter." for name in missing]
    if not stamp:
        texts.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if texts:
        raise _incomplete(" ".join(texts))
    scope = _scope_or_raise(parts["Credential"])
    return Signature(
        scope=scope,
        signed=tuple(parts["SignedHeaders"].split(";")),
        signature=parts["Signature"],
        stamp=stamp,
        token=headers.get("x-amz-security-token"),
    )


def _from_query(query: str) -> Signature:
    found: dict[str, str] = {}
    for piece in query.split("&"):
        name, _, value = piece.partition("=")
        if name.startswith("X-Amz-"):
            found.setdefault(name, unquote(value))
    for name in ("Algorithm", "Credential", "Signature", "SignedHeaders", "Date"):
        if not found.get(f"X-Amz-{name}"):
            raise _incomplete(f"AWS query-string parameters must include 'X-Amz-{name}'.")
    if found["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{found['X-Amz-Algorithm'][:64]}'.")
    expires = found.get("X-Amz-Expires", "300")
    if not expires.isdecimal() or len(expires) > 7 or int(expires) > PRESIGNED_SECONDS_MAX:
        raise _incomplete("X-Amz-Expires must be a number of at most 604800 seconds.")
    return Signature(
        scope=_scope_or_raise(found["X-Amz-Credential"]),
        signed=tuple(found["X-Amz-SignedHeaders"].split(";")),
        signature=found["X-Amz-Signature"],
        stamp=found["X-Amz-Date"],
        token=found.get("X-Amz-Security-Token", ""),
        presigned=True,
        expires_s=int(expires),
    )


def _scope_or_raise(text: str) -> Scope:
    scope = parse_scope(text)
    if scope is None:
        raise _incomplete(
            f"Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got '{text[:200]}'"
        )
    return scope


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignatureException", message, status=400)


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message, status=403)


class Verifier:
    """Checks signatures against the keys that `find` knows."""

    def __init__(self, find: Callable[[str], Key | None], now: Callable[[], float]) -> None:
        self._find = find
        self._now = now

    def identify(self, request: Request) -> tuple[Signature, Key]:
        """Whose signature it claims to be, as far as can be told without the body; AwsError when nobody's."""
        signature = signature_of(request)
        key = self._find(signature.scope.access_key)
        if key is None or not hmac.compare_digest(key.session_token.encode(), signature.token.encode()):
            raise AwsError(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                status=403,
            )
        if key.expires_at and self._now() >= key.expires_at:
            raise AwsError(
                "ExpiredTokenException", "The security token included in the request is expired", status=403
            )
        self._check_time(signature)
        return signature, key

    def verify(self, request: Request, body: bytes | None) -> tuple[Signature, Key]:
        """Whose signature it is; AwsError when it is nobody's.  `body` None: the payload hash is believed."""
        signature, key = self.identify(request)
        payload = _payload_hash(request, signature, body)
        candidates = (
            sign(key.secret_key, signature, text) for text in canonical_requests(request, signature, payload)
        )
        if not any(hmac.compare_digest(one.encode(), signature.signature.encode()) for one in candidates):
            raise _invalid(
                "The request signature we calculated does not match the signature you provided. Check your AWS "
                "Secret Access Key and signing method. Consult the service documentation for details."
            )
        _check_signed_headers(request, signature)
        return signature, key

    def _check_time(self, signature: Signature) -> None:
        if _STAMP.fullmatch(signature.stamp) is None:
            raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{signature.stamp[:64]}'.")
        try:
            at = datetime.strptime(signature.stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{signature.stamp}'.") from None
        if signature.scope.date != signature.stamp[:8]:
            raise _invalid(
                f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{signature.scope.date[:16]}' != '{signature.stamp[:8]}', from '{signature.stamp}'."
            )
        now = self._now()
        if signature.scope.service in _S3:
            _check_s3_time(signature, at, now)
            return
        allowed = float(signature.expires_s) if signature.presigned else SKEW_SECONDS_MAX
        early = _basic(now + SKEW_SECONDS_MAX)
        if at > now + SKEW_SECONDS_MAX:
            raise _invalid(
                f"Signature not yet current: {signature.stamp} is still later than {early} ({_basic(now)} + 15 min.)"
            )
        if at + allowed < now:
            span = "15 min." if not signature.presigned else f"{signature.expires_s} s"
            limit = _basic(now - allowed)
            raise _invalid(
                f"Signature expired: {signature.stamp} is now earlier than {limit} ({_basic(now)} - {span})"
            )


def _check_s3_time(signature: Signature, at: float, now: float) -> None:
    if signature.presigned and at + signature.expires_s < now:
        raise AwsError("AccessDenied", "Request has expired", status=403)
    if at > now + SKEW_SECONDS_MAX or (not signature.presigned and at < now - SKEW_SECONDS_MAX):
        raise AwsError(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            status=403,
        )


def canonical_requests(request: Request, signature: Signature, payload: str) -> Iterator[str]:
    """The texts that may have been signed, most likely first.

    Path and query should be encoded once and strictly.  Clients that encode otherwise sign either what they
    sent or its strict form, and AWS takes both.
    """
    if signature.scope.service in _S3:
        strict = quote(unquote_to_bytes(request.path), safe="/-_.~")
        paths = dict.fromkeys((request.path or "/", strict or "/"))
    else:
        paths = dict.fromkeys((quote(normalize(request.path), safe="/-_.~"),))
    queries = dict.fromkeys(
        canonical_query(request.query, presigned=signature.presigned, recode=recode)
        for recode in (True, False)
    )
    rest = []
    for name in signature.signed:
        values = [" ".join(_utf8(value).split()) for value in request.headers.get_all(name.lower())]
        rest.append(f"{name}:{','.join(values)}")
    rest += ["", ";".join(signature.signed), payload]
    for path in paths:
        for query in queries:
            yield "\n".join((request.method, path, query, *rest))


def canonical_query(query: str, *, presigned: bool, recode: bool = True) -> str:
    """Sorted, each part encoded once, without the signature of a presigned URL."""
    found = []
    for piece in query.split("&") if query else []:
        name, _, value = piece.partition("=")
        if presigned and name == "X-Amz-Signature":
            continue
        found.append((_recode(name), _recode(value)) if recode else (name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(found))


def _utf8(text: str) -> str:
    """The text of a header's bytes, which servers hand over as latin-1."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def _recode(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe=_UNRESERVED)


def normalize(path: str) -> str:
    """The path without empty and dot segments, as everybody but S3 signs it."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in {"", "."}:
            kept.append(segment)
    tail = "/" if kept and path.endswith("/") else ""
    return "/" + "/".join(kept) + tail


def sign(secret: str, signature: Signature, canonical: str) -> str:
    """The signature that this secret makes of a canonical request."""
    scope = signature.scope
    term = f"{scope.date}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = f"{ALGORITHM}\n{signature.stamp}\n{term}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _payload_hash(request: Request, signature: Signature, body: bytes | None) -> str:
    """The payload's hash as it was signed, checked against the body where there is one to check."""
    declared = request.headers.get("x-amz-content-sha256")
    if signature.scope.service in _S3:
        if signature.presigned and not declared:
            return "UNSIGNED-PAYLOAD"
        if declared == "UNSIGNED-PAYLOAD" or declared.startswith("STREAMING-"):
            return declared
        if body is None:
            return declared
    elif declared in {"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}:
        return declared
    actual = hashlib.sha256(body).hexdigest() if body else _EMPTY_SHA256
    if declared and _HEX64.fullmatch(declared) and body is not None and declared != actual:
        raise _invalid("The value passed in as x-amz-content-sha256 does not match the value calculated.")
    return declared if body is None and declared else actual


def _check_signed_headers(request: Request, signature: Signature) -> None:
    """Host must be signed, and every x-amz header that the request carries."""
    signed = {name.lower() for name in signature.signed}
    if "host" not in signed and ":authority" not in signed:
        raise _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if signature.presigned:
        return
    for raw, _ in request.headers.raw:
        name = raw.decode("latin-1")
        if name.startswith("x-amz-") and name not in signed and name != "x-amz-content-sha256":
            raise _invalid(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")


def _basic_date(text: str) -> str:
    if not text or _STAMP.fullmatch(text):
        return text
    try:
        from email.utils import parsedate_to_datetime

        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return text
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _basic(seconds: float) -> str:
    return iso8601(int(seconds)).replace("-", "").replace(":", "")
