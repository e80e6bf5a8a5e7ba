"""Hundreds of invalid requests made from the models, over HTTP to a real cloud: a 4xx each, and nothing changed.

CUMULO_FRONT_DOOR_EXAMPLES makes it long.
"""

import http.client
import json
import os
import re
import socket
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import botocore.session
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("CUMULO_FRONT_DOOR_EXAMPLES", "400"))
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MODELS = {name: botocore.session.get_session().get_service_model(name) for name in ("lambda", "logs")}
SCOPE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture(scope="module")
def door(cumulo):
    """The cloud, with something in it that must not change."""
    logs = cumulo.client("logs")
    logs.create_log_group(logGroupName="front-door")
    logs.create_log_stream(logGroupName="front-door", logStreamName="s")
    yield cumulo
    logs.delete_log_group(logGroupName="front-door")


# -- requests that no cloud may take ---------------------------------------------------------------------------


def wrong(shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON values that a shape forbids: of another type, or beyond one of its constraints."""
    others: list[st.SearchStrategy[Any]] = [st.just(value) for value in _OF_ANOTHER_TYPE[shape.type_name]]
    meta = shape.metadata
    if shape.type_name in ("string", "list", "map"):
        others += [st.just(value) for value in _of_wrong_size(shape, meta)]
    if shape.type_name == "string":
        if getattr(shape, "enum", None):
            others.append(st.text(min_size=1).filter(lambda text: text not in shape.enum))
        if "pattern" in meta:
            others.append(
                st.sampled_from(["\x01", " ", "§§", "\n\n"]).filter(lambda t: _breaks(meta["pattern"], t))
            )
    if shape.type_name in ("integer", "long"):
        others.append(st.sampled_from([10**30, -(10**30), 1e300]))
        others += [st.just(int(meta["min"]) - 1)] if "min" in meta else []
        others += [st.just(int(meta["max"]) + 1)] if "max" in meta else []
    if depth < 3:
        others += _inside(shape, depth + 1)
    return st.one_of(others)


_OF_ANOTHER_TYPE: dict[str, list[Any]] = {
    "string": [{}, [], {"a": "b"}, [1]],
    "integer": ["much", {}, [], [1]],
    "long": ["much", {}, []],
    "double": ["much", {}],
    "float": ["much", {}],
    "boolean": ["maybe", {}, []],
    "timestamp": ["when it suits", {}, []],
    "blob": [{}, [], "%%%"],
    "list": ["x", {"a": 1}, 5],
    "map": ["x", [1], 5],
    "structure": ["x", [1], 5],
}


def _of_wrong_size(shape, meta) -> list[Any]:
    found: list[Any] = []
    low, high = meta.get("min", 0), meta.get("max")
    if shape.type_name == "string":
        found += [""] if low > 0 else []
        found += ["x" * (high + 1)] if high is not None and high < 100_000 else []
    elif shape.type_name == "list":
        found += [[]] if low > 0 else []
    return found


def _breaks(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is None
    except re.error:
        return False


def _inside(shape, depth: int) -> list[st.SearchStrategy[Any]]:
    if shape.type_name == "list":
        return [wrong(shape.member, depth).map(lambda value: [value])]
    if shape.type_name == "map":
        return [wrong(shape.value, depth).map(lambda value: {"k": value})]
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        return [
            wrong(member, depth).map(lambda value, name=name: {name: value})
            for name, member in shape.members.items()
            if member.type_name != "structure" or not getattr(member, "is_document_type", False)
        ]
    return []


@st.composite
def broken_logs(draw):
    """A CloudWatch Logs request that cannot be right: (method, target, headers, body)."""
    model = MODELS["logs"]
    name = draw(st.sampled_from([n for n in model.operation_names if model.operation_model(n).input_shape]))
    shape = model.operation_model(name).input_shape
    headers = {
        "X-Amz-Target": f"{model.metadata['targetPrefix']}.{name}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    body = json.dumps(draw(_broken_members(shape)))
    how = draw(st.integers(0, 9))
    if how == 0:
        body = body[: draw(st.integers(1, len(body) - 1))]
    elif how == 1:
        body = draw(
            st.sampled_from(["[]", "1", '"text"', "nul", "\x00", '{"a"', "[" * 20_000, '{"a":' * 20_000])
        )
    elif how == 2:
        headers["X-Amz-Target"] = draw(st.sampled_from(["Logs_20140328.Nothing", "Logs_20140328", "Logs_20140328.", "Logs_20140328.putlogevents"]))  # fmt: skip
    return "POST", "/", headers, body.encode()


@st.composite
def broken_lambda(draw):
    """A Lambda request that cannot be right; where the path names a function, there is none of that name."""
    model = MODELS["lambda"]
    name = draw(st.sampled_from([n for n in model.operation_names if _can_break(model.operation_model(n))]))
    operation = model.operation_model(name)
    shape, http_ = operation.input_shape, operation.http
    spots = [m for m in shape.members if _is_spot(shape, m)]
    victim = draw(st.sampled_from(spots)) if spots else ""
    query: list[tuple[str, str]] = []
    headers = {"Content-Type": "application/json"}
    body: dict[str, Any] = {}
    if victim:
        member = shape.members[victim]
        bad = wrong(member) if _place(member) == "body" else st.sampled_from(_wrong_texts(member))
        _put(member, victim, draw(bad), query, headers, body)
    path = http_["requestUri"].split("?")[0]
    for label in re.findall(r"{(.*?)}", path):
        path = path.replace("{" + label + "}", quote(draw(st.sampled_from(_LABELS)), safe=""))
    text = json.dumps(body)
    if draw(st.integers(0, 9)) == 0 and http_["method"] in ("POST", "PUT") and not _payload(shape):
        text = draw(st.sampled_from(["{", "[]", "nul", '{"FunctionName":', "[" * 20_000]))
    sent = b"" if http_["method"] in ("GET", "DELETE") else text.encode()
    return http_["method"], path + ("?" + urlencode(query) if query else ""), headers, sent


_LABELS = [
    "nothing-here",
    "x" * 300,
    "a b",
    "ünï",
    "arn:aws:lambda:us-east-1:000000000000:function:nothing",
    "..",
    "%",
]


def _payload(shape) -> str:
    return shape.serialization.get("payload", "")


def _place(member) -> str:
    return member.serialization.get("location", "body")


def _is_spot(shape, name: str) -> bool:
    """Whether a member can be wrong in itself."""
    place = _place(shape.members[name])
    return _payload(shape) != name and (place == "body" or bool(_wrong_texts(shape.members[name])))


def _wrong_texts(member) -> list[str]:
    """What a member of the query or the headers must not be: any text is a string, so few things are."""
    if _place(member) in ("uri", "headers"):
        return []
    if member.type_name in ("integer", "long"):
        low, high = member.metadata.get("min"), member.metadata.get("max")
        return (
            ["many", "9" * 30]
            + ([str(low - 1)] if low is not None else [])
            + ([str(high + 1)] if high else [])
        )
    return ["NoSuchChoice"] if getattr(member, "enum", None) else []


def _can_break(operation) -> bool:
    """Whether there is something in it that can be wrong."""
    shape = operation.input_shape
    if shape is None:
        return False
    return "{" in operation.http["requestUri"] or any(_is_spot(shape, name) for name in shape.members)


def _put(member, name: str, value, query, headers, body) -> None:
    spelled = member.serialization.get("name", name)
    place = _place(member)
    if place == "body":
        body[spelled] = value
        return
    if place == "querystring":
        query.append((spelled, value))
    else:
        headers[spelled] = value


@st.composite
def _broken_members(draw, shape):
    names = [n for n, m in shape.members.items() if not getattr(m, "is_document_type", False)]
    if not names or (shape.required_members and draw(st.booleans())):
        keep = {"unknownMember": 1, "another": {"deep": [None]}}
        return keep if shape.required_members else {names[0]: {"not": "this"}} if names else [1]
    name = draw(st.sampled_from(names))
    return {name: draw(wrong(shape.members[name])), "unknownMember": [1, {"a": None}]}


# -- what is said to them --------------------------------------------------------------------------------------


def send(cloud, service: str, method: str, target: str, headers: dict[str, str], body: bytes):
    """One request, as it is; status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(cloud.endpoint).netloc, timeout=20)
    try:
        connection.request(method, target, body, {"Authorization": SCOPE.format(service), **headers})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def inventory(cloud) -> list[Any]:
    aws, logs = cloud.client("lambda"), cloud.client("logs")
    groups = [
        {k: v for k, v in group.items() if k != "storedBytes"}
        for page in logs.get_paginator("describe_log_groups").paginate()
        for group in page["logGroups"]
    ]
    functions = [f for page in aws.get_paginator("list_functions").paginate() for f in page["Functions"]]
    streams = logs.describe_log_streams(logGroupName="front-door")["logStreams"]
    return [functions, groups, streams, aws.get_account_settings()["AccountUsage"]]


def refused(status: int, headers: dict[str, str], body: bytes) -> None:
    """A 4xx (501 for what is not built) of the right shape."""
    assert 400 <= status < 500 or status == 501, (status, body[:500])
    assert headers.get("x-amzn-requestid"), headers
    told = json.loads(body)
    assert isinstance(told, dict), told
    kind = headers.get("x-amzn-errortype") or told.get("__type")  # by protocol
    assert kind, (headers, told)
    message = told.get("message", told.get("Message", ""))
    assert isinstance(message, str), told
    assert message or kind == "UnknownOperationException", (headers, told)
    assert "Traceback" not in message


def test_a_broken_logs_request_is_refused_and_changes_nothing(door):
    before = inventory(door)

    @QUICK
    @given(broken_logs())
    def check(request):
        refused(*send(door, "logs", *request))

    check()
    assert inventory(door) == before


def test_a_broken_lambda_request_is_refused_and_changes_nothing(door):
    before = inventory(door)

    @QUICK
    @given(broken_lambda())
    def check(request):
        refused(*send(door, "lambda", *request))

    check()
    assert inventory(door) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/2015-03-31/nothing"),
        ("PATCH", "/2015-03-31/functions/x"),
        ("POST", "/2015-03-31/functions//invocations"),
        ("POST", "/2015-03-31/functions/%00/invocations"),
        ("POST", "/2015-03-31/functions/" + "x" * 400 + "/invocations"),
        ("POST", "/2015-03-31/functions/nothing/invocations?Qualifier=%20"),
        ("GET", "/2015-03-31/functions?MaxItems=many"),
        ("GET", "/2015-03-31/functions?MaxItems=99999999999999999999999"),
        ("GET", "/2015-03-31/functions?MaxItems=0"),
        ("GET", "/2015-03-31/functions?FunctionVersion=SOME"),
        ("GET", "/2015-03-31/functions/%ff"),
    ],
)
def test_a_path_or_query_that_leads_nowhere_is_refused(door, method, path):
    refused(*send(door, "lambda", method, path, {}, b""))


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "a" * 5000]
)
def test_a_wrong_content_type_is_refused(door, kind):
    before = inventory(door)
    target = {"X-Amz-Target": "Logs_20140328.CreateLogGroup", "Content-Type": kind}
    status, headers, body = send(door, "logs", "POST", "/", target, b"logGroupName=made")
    refused(status, headers, body)
    assert inventory(door) == before


# -- below HTTP ------------------------------------------------------------------------------------------------


def raw(cloud, *parts: bytes, half_close: bool = False) -> bytes:
    """Bytes to the port, and what comes back until it is closed."""
    host, port = urlsplit(cloud.endpoint).hostname, urlsplit(cloud.endpoint).port
    with socket.create_connection((host, port), timeout=20) as sock:
        try:
            for part in parts:
                sock.sendall(part)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has heard enough and answered
        answer = b""
        try:
            while data := sock.recv(65536):
                answer += data
        except OSError:
            pass
        return answer


HEAD = (
    b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Amz-Target: Logs_20140328.CreateLogGroup\r\n"
    b"Content-Type: application/x-amz-json-1.1\r\nAuthorization: " + SCOPE.format("logs").encode() + b"\r\n"
)


def is_4xx(answer: bytes) -> bool:
    return re.match(rb"HTTP/1\.1 4\d\d ", answer) is not None


def test_a_body_of_100_mb_is_refused_before_it_is_read(door):
    before = inventory(door)
    chunk = b"x" * (1 << 20)
    answer = raw(door, HEAD + b"Content-Length: 104857600\r\n\r\n", *([chunk] * 100))
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    chunked = [b"%x\r\n%s\r\n" % (len(chunk), chunk)] * 100
    answer = raw(door, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunked)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    assert inventory(door) == before


def test_a_body_cut_short_changes_nothing(door):
    before = inventory(door)
    body = b'{"logGroupName": "cut-short"}'
    answer = raw(door, HEAD + b"Content-Length: 100\r\n\r\n" + body, half_close=True)
    assert answer == b"" or is_4xx(answer), answer[:200]
    answer = raw(door, HEAD + b"Transfer-Encoding: chunked\r\n\r\n1d\r\n" + body, half_close=True)
    assert answer == b"" or is_4xx(answer), answer[:200]
    assert inventory(door) == before


@pytest.mark.parametrize(
    "bomb",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(50_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (4 << 20) + b"\r\n\r\n",
        b"GET /" + b"a" * (4 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 200 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=[
        "many headers",
        "a long header",
        "a long path",
        "tls",
        "negative",
        "two lengths",
        "both",
        "bad chunk",
    ],
)
def test_a_bomb_is_refused_and_the_server_goes_on(door, bomb):
    answer = raw(door, bomb)
    assert is_4xx(answer), answer[:200]
    assert send(door, "lambda", "GET", "/2015-03-31/functions", {}, b"")[0] == 200
