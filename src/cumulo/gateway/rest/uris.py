"""Where integrations lead: URIs with {parameters} and stage variables in them, and the ARNs of AWS actions."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from cumulo.gateway.integrations.functions import with_variables
from cumulo.gateway.rest.failures import misconfigured

_PARAMETER: Final = re.compile(r"\{([^{}/]+?)\+?\}")
_ARN: Final = re.compile(
    r"arn:[a-z-]+:apigateway:(?P<region>[a-z0-9-]+):(?:(?P<host>[A-Za-z0-9-]+)\.)?(?P<service>[A-Za-z0-9-]+)"
    r":(?P<kind>path|action)/(?P<rest>.*)",
    re.DOTALL,
)
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~"
_QUERY_SAFE: Final = "/%:@!$'()*,~"
_ILLEGAL: Final = re.compile(r"[\x00-\x20\"<>\\^`{|}\x7f]")


class AwsUri(msgspec.Struct, frozen=True):
    """An AWS integration's URI: `arn:aws:apigateway:{region}:{host.}{service}:path/...` or `:action/...`.

    path    of the request, with a slash; for an action `/`
    query   that the URI has of its own
    """

    region: str
    service: str
    host: str
    action: str
    path: str
    query: str


def http_url(uri: str, path: Mapping[str, str], variables: Mapping[str, str]) -> str:
    """An HTTP integration's URL for one request.  Refused when it is none."""
    before, mark, query = with_variables(uri, variables).partition("?")
    url = _filled(before, path, _PATH_SAFE) + mark + _filled(query, path, _QUERY_SAFE)
    wrong = _ILLEGAL.search(url)
    if wrong is not None:
        raise misconfigured(f"Illegal character in path at index {wrong.start()}: {url}")
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise misconfigured("Invalid endpoint address")
    return url


def aws_uri(uri: str, path: Mapping[str, str], variables: Mapping[str, str]) -> AwsUri:
    """An AWS integration's URI for one request.  Refused when it is none."""
    found = _ARN.fullmatch(with_variables(uri, variables))
    if found is None:
        raise misconfigured("Invalid endpoint address")
    rest, _, query = found["rest"].partition("?")
    query = _filled(query, path, _QUERY_SAFE)
    host = found["host"] or ""
    if found["kind"] == "path":
        whole = "/" + quote(_filled(rest, path, _PATH_SAFE), safe=_PATH_SAFE)
        return AwsUri(found["region"], found["service"], host, "", whole, query)
    action, _, more = rest.partition("&")  # action/GetObject&Bucket={bucket}&Key={key}
    query = "&".join(part for part in (_filled(more, path, _QUERY_SAFE), query) if part)
    return AwsUri(found["region"], found["service"], host, action, "/", query)


def with_query(url: str, query: Mapping[str, list[str] | str]) -> str:
    """A URL with more fields in its query string."""
    if not query:
        return url
    more = encoded(query)
    return f"{url}{'&' if '?' in url else '?'}{more}"


def encoded(query: Mapping[str, list[str] | str]) -> str:
    """Fields as a query string."""
    return urlencode(query, doseq=True, quote_via=quote)


def _filled(text: str, path: Mapping[str, str], safe: str) -> str:
    """With values in place of parameters: they stay encoded as they are, and cannot leave their part of the URI."""
    if "{" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        given = path.get(found[1])
        return found[0] if given is None else quote(given, safe=safe)

    return _PARAMETER.sub(value, text)
