"""A signature that botocore made verifies; with any bit of the request flipped it does not."""

import string
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.wire.http import BytesBody, Headers, Request
from cumulo.wire.keys import Key
from cumulo.wire.sigv4 import Verifier

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = {
    "AKIDEXAMPLE": Key(access_key="AKIDEXAMPLE", secret_key=SECRET, account="1"),
    "ASIAEXAMPLE": Key(access_key="ASIAEXAMPLE", secret_key=SECRET, account="1", session_token="tok/en+=="),
}
QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)
SIGNERS = {
    "header": (SigV4Auth, "lambda"),
    "query": (SigV4QueryAuth, "lambda"),
    "s3": (S3SigV4Auth, "s3"),
    "s3-query": (S3SigV4QueryAuth, "s3"),
}
SEGMENT = st.text(alphabet=string.ascii_letters + " é你/:.~+*=&%", min_size=1, max_size=8).map(
    lambda t: quote("a" + t, safe="~")
)
WORD = st.text(alphabet=string.ascii_letters + string.digits + " -/+=&é", max_size=8)


@st.composite
def requests(draw, kind):
    signer, service = SIGNERS[kind]
    path = "/" + "/".join(draw(st.lists(SEGMENT, max_size=3)))
    fields = draw(
        st.lists(st.tuples(WORD.map(lambda w: "q" + w), WORD), max_size=3, unique_by=lambda f: f[0])
    )
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in fields)
    url = f"http://127.0.0.1:4566{path}" + (f"?{query}" if query else "")
    headers = {
        "X-Amz-Meta-A": draw(st.text(alphabet=string.ascii_letters + "  ", min_size=1, max_size=9)) + "x"
    }
    method = draw(st.sampled_from(["GET", "PUT", "POST"]))
    data = draw(st.binary(max_size=20)) if method != "GET" and "query" not in kind else b""
    access_key = draw(st.sampled_from(sorted(KEYS)))
    made = AWSRequest(method, url, data=data, headers=headers)
    credentials = Credentials(access_key, SECRET, KEYS[access_key].session_token or None)
    signer(credentials, service, "eu-west-1").add_auth(made)
    prepared = made.prepare()
    parts = urlsplit(prepared.url)
    lines = [
        (k.lower().encode(), v if isinstance(v, bytes) else v.encode()) for k, v in prepared.headers.items()
    ]
    lines.append((b"host", parts.netloc.encode()))
    body = prepared.body or b""
    return method, parts.path, parts.query, lines, body if isinstance(body, bytes) else body.encode()


def verify(method, path, query, lines, body):
    clock = SystemClock()
    Verifier(KEYS.get, clock.now).verify(Request(method, path, query, Headers(lines), BytesBody(body)), body)


@pytest.mark.parametrize("kind", SIGNERS)
@QUICK
@given(data=st.data())
def test_botocores_signature_verifies(kind, data):
    verify(*data.draw(requests(kind)))


def flip(text, at):
    position, bit = divmod(at % (len(text) * 7), 7)
    return text[:position] + chr(ord(text[position]) ^ (1 << bit)) + text[position + 1 :]


@pytest.mark.parametrize("kind", SIGNERS)
@QUICK
@given(data=st.data())
def test_with_any_bit_flipped_it_does_not(kind, data):
    method, path, query, lines, body = data.draw(requests(kind))
    signed = {
        "authorization",
        "host",
        "x-amz-date",
        "x-amz-meta-a",
        "x-amz-security-token",
        "x-amz-content-sha256",
    }
    places = [
        "method",
        "path",
        *(["body"] if body else []),
        *(["query"] if query else []),
    ]
    names = [name.decode() for name, _ in lines if name.decode() in signed]
    place = data.draw(st.sampled_from([*places, *names]))
    at = data.draw(st.integers(0, 10_000))
    before = (method, path, query, list(lines), body)
    if place == "method":
        method = flip(method, at)
    elif place == "path":
        path = "/" + flip(path[1:], at) if len(path) > 1 else "/x"
    elif place == "query":
        query = flip(query, at)
    elif place == "body":
        body = bytes([body[0] ^ (1 << at % 8)]) + body[1:]
    else:
        lines = [
            (name, flip(value.decode("latin-1"), at).encode("latin-1") if name.decode() == place else value)
            for name, value in lines
        ]
    if same_meaning(before, (method, path, query, lines, body), kind):
        return
    with pytest.raises(AwsError):
        verify(method, path, query, lines, body)


def same_meaning(before, after, kind):
    """Flips that change nothing: white space that is folded, the case of an escape, punctuation of the header."""
    (_, path, query, lines, _), (_, new_path, new_query, new_lines, _) = before, after
    folded = [" ".join(v.decode("latin-1").split()) for _, v in lines] == [
        " ".join(v.decode("latin-1").split()) for _, v in new_lines
    ]
    authorization = dict(lines).get(b"authorization"), dict(new_lines).get(b"authorization")
    if authorization[0] != authorization[1]:
        return pieces(authorization[0]) == pieces(authorization[1])
    if path != new_path and kind.startswith("s3"):
        return path.lower() == new_path.lower() and unescaped(path) == unescaped(new_path)
    if query != new_query:
        return sorted(unescaped(p) for p in query.replace("+", " ").split("&")) == sorted(
            unescaped(p) for p in new_query.replace("+", " ").split("&")
        )
    return path == new_path and query == new_query and folded and lines != new_lines


def pieces(header):
    algorithm, _, rest = header.decode("latin-1").strip().partition(" ")
    return algorithm, {
        p.strip().partition("=")[0]: p.strip().partition("=")[2].strip() for p in rest.split(",")
    }


def unescaped(text):
    return unquote_to_bytes(text)
