"""What a listener does with a request: rules, actions and attributes, compiled into one function for its front."""

import re
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from random import Random
from typing import Final

from cumulo.base.clock import Clock
from cumulo.net.messages import Answer, Decision, Forward, HeaderList, ReadBody, RequestHead, Route, forwarded
from cumulo.net.pool import Backend
from cumulo.services.elbv2 import attributes, cookies
from cumulo.services.elbv2.actions import location
from cumulo.services.elbv2.counts import FIXED, REDIRECT
from cumulo.services.elbv2.error_pages import SERVER, page
from cumulo.services.elbv2.function_calls import FunctionCalls
from cumulo.services.elbv2.matching import Matcher, Seen
from cumulo.services.elbv2.model import Document, Listener, LoadBalancer, Rule
from cumulo.services.elbv2.pools import GroupPool, Pools

TRIES: Final = 3  # targets that are tried while none has been sent anything
CONNECT_SECONDS: Final = 10.0
ADDRESSES_MAX: Final = 30  # that X-Forwarded-For may name
_FORWARDED_FOR: Final = b"x-forwarded-for"
_TRACE: Final = b"x-amzn-trace-id"
_USUAL_PORTS: Final = (80, 443)
_PORT: Final = re.compile(r":\d*$")
_VALID_NAME: Final = re.compile(rb"[-A-Za-z0-9]+")
_RESPONSE_HEADER: Final = re.compile(r"routing\.http\.response\.([a-z_]+)\.header_value")
_TLS_NAMES: Final = ("x_amzn_tls_version", "x_amzn_tls_cipher_suite")

Decide = Callable[[RequestHead, ReadBody], Decision | Awaitable[Decision]]


class Routing:
    """Makes routes.

    source   for weighted target groups and the ids of traces: nothing that is secret
    """

    def __init__(self, pools: Pools, functions: FunctionCalls, clock: Clock, source: Random) -> None:
        self._pools = pools
        self._functions = functions
        self._clock = clock
        self._random = source

    def route(self, balancer: LoadBalancer, listener: Listener, rules: Sequence[Rule]) -> Route:
        """The route of an HTTP or HTTPS listener, as the records are now."""
        manner = Manner(balancer, listener)
        default = self._decide(listener.actions[0], listener, manner)
        others = {
            one.arn: self._decide(one.actions[0], listener, manner) for one in rules if not one.is_default
        }
        if not others:
            return default
        matcher = Matcher(rules)
        with_headers = any(
            condition["Field"] == "http-header" for one in rules for condition in one.conditions
        )

        def route(head: RequestHead, body: ReadBody) -> Decision | Awaitable[Decision]:
            rule = matcher.first(seen(head, with_headers=with_headers))
            return (default if rule is None else others[rule.arn])(head, body)

        return route

    # -- actions -----------------------------------------------------------------------------------------

    def _decide(self, action: Document, listener: Listener, manner: "Manner") -> Decide:
        if action["Type"] == "fixed-response":
            return _fixed(action["FixedResponseConfig"], manner)
        if action["Type"] == "redirect":
            return _redirect(action["RedirectConfig"], listener, manner)
        return self._forward(action["ForwardConfig"], listener, manner)

    def _forward(self, config: Document, listener: Listener, manner: "Manner") -> Decide:
        groups = [one["TargetGroupArn"] for one in config["TargetGroups"]]
        if len(groups) == 1:
            return partial(self._to_group, groups[0], manner, ())
        weights = list(accumulate(one["Weight"] for one in config["TargetGroups"]))
        sticky = config["TargetGroupStickinessConfig"]
        seconds = sticky["DurationSeconds"] if sticky["Enabled"] else 0
        tokens = {cookies.token(listener.arn, arn): arn for arn in groups}
        token_of = {arn: token for token, arn in tokens.items()}

        def decide(head: RequestHead, body: ReadBody) -> Decision | Awaitable[Decision]:
            chosen = tokens.get(cookies.sent(head.values("cookie"), cookies.GROUP), "") if seconds else ""
            if not chosen:
                if not weights[-1]:
                    return manner.error(503)
                chosen = groups[bisect_right(weights, self._random.random() * weights[-1])]
            lines: HeaderList = ()
            if seconds:
                lines = cookies.lines(
                    cookies.GROUP,
                    token_of[chosen],
                    now=self._clock.now(),
                    seconds=seconds,
                    secure=head.scheme == "https",
                )
            return self._to_group(chosen, manner, lines, head, body)

        return decide

    def _to_group(
        self, arn: str, manner: "Manner", lines: HeaderList, head: RequestHead, body: ReadBody
    ) -> Decision | Awaitable[Decision]:
        found = self._pools.of(arn)
        if found is None:
            return manner.error(503)
        if _FORWARDED_FOR in head.names and _addresses(head) > ADDRESSES_MAX:
            return manner.error(463)
        add, remove = manner.request_headers(head)
        add = (*add, (b"X-Amzn-Trace-Id", self._trace(head)))
        if found.group.target_type == "lambda":
            return self._functions.answer(
                found, manner, (*lines, *manner.answer_headers), head, body, add, remove
            )
        if not found.pool.eligible:
            return manner.error(503)
        preferred, on_backend = self._stick(found, manner, lines, head)
        return Forward(
            pool=found.pool,
            add=add,
            remove=remove,
            preferred=preferred,
            on_backend=on_backend,
            answer_remove=manner.answer_remove,
            connect_seconds=CONNECT_SECONDS,
            idle_seconds=manner.idle_seconds,
            tries=TRIES,
        )

    def _stick(
        self, found: GroupPool, manner: "Manner", lines: HeaderList, head: RequestHead
    ) -> tuple[Backend | None, Callable[[Backend], HeaderList] | None]:
        """The target that the client was at before, and what sets the cookies for the next time."""
        lines = (*lines, *manner.answer_headers)
        if not found.is_sticky:
            return None, (lambda _: lines) if lines else None
        have = found.attributes
        sent = head.values("cookie")
        if have["stickiness.type"] == "app_cookie":
            # The load balancer's own cookie always goes along; it counts for those that have the application's.
            name, seconds = cookies.APPLICATION, int(have["stickiness.app_cookie.duration_seconds"])
            counts = cookies.has(sent, have["stickiness.app_cookie.cookie_name"])
        else:
            name, seconds = cookies.TARGET, int(have["stickiness.lb_cookie.duration_seconds"])
            counts = True
        preferred = found.by_token.get(cookies.sent(sent, name)) if counts else None
        now, secure = self._clock.now(), head.scheme == "https"

        def on_backend(backend: Backend) -> HeaderList:
            made = cookies.lines(name, found.token_of(backend), now=now, seconds=seconds, secure=secure)
            return (*lines, *made)

        return preferred, on_backend

    def _trace(self, head: RequestHead) -> bytes:
        fresh = b"1-%08x-%024x" % (int(self._clock.now()), self._random.getrandbits(96))
        before = head.names.get(_TRACE)
        if not before:
            return b"Root=" + fresh
        rest = b";".join(part for part in before.split(b";") if not part.strip().startswith(b"Self="))
        return b"Self=" + fresh + b";" + rest


class Manner:
    """How a listener treats headers: the attributes of its load balancer and its own.

    answer_headers  lines that every answer gets
    answer_remove   names that answers of targets lose, in small letters
    idle_seconds    idle_timeout.timeout_seconds
    """

    def __init__(self, balancer: LoadBalancer, listener: Listener) -> None:
        have = attributes.of_balancer(balancer)
        own = attributes.of_listener(listener)
        self.idle_seconds = float(have["idle_timeout.timeout_seconds"])
        self.answer_headers: HeaderList = tuple(
            (_header_name(found[1]), value.encode("latin-1", "replace"))
            for name, value in own.items()
            if value and (found := _RESPONSE_HEADER.fullmatch(name))
        )
        shows_server = own.get("routing.http.response.server.enabled", "true") == "true"
        self._own: HeaderList = (SERVER,) if shows_server else ()
        self.answer_remove = frozenset(name.lower() for name, _ in self.answer_headers) | (
            frozenset() if shows_server else frozenset({b"server"})
        )
        self._port = listener.port
        self._keeps_host = have["routing.http.preserve_host_header.enabled"] == "true"
        self._mode = have["routing.http.xff_header_processing.mode"]
        self._with_port = have["routing.http.xff_client_port.enabled"] == "true"
        self._drops_invalid = have["routing.http.drop_invalid_header_fields.enabled"] == "true"
        self._tells_tls = have["routing.http.x_amzn_tls_version_and_cipher_suite.enabled"] == "true"
        self._tls_names = [_tls_name(own, name) for name in _TLS_NAMES]

    def error(self, status: int, why: str = "") -> Answer:
        """The load balancer's own page."""
        headers, body = page(status, why)
        return self.answer(status, headers, body)

    def answer(self, status: int, headers: HeaderList, body: bytes, note: str = "") -> Answer:
        """An answer of the load balancer's own, with what it adds to each."""
        kept = tuple(line for line in headers if line[0] != SERVER[0])
        return Answer(status, (*self._own, *kept, *self.answer_headers), body, note=note)

    def request_headers(self, head: RequestHead) -> tuple[HeaderList, frozenset[bytes]]:
        """Lines that a target gets beside the client's, and names of those that it does not get."""
        add, remove = forwarded(head, with_port=self._with_port)
        if self._mode != "append":
            add = tuple(line for line in add if line[0] != b"X-Forwarded-For")
            if self._mode == "preserve":
                remove -= {b"x-forwarded-for"}
        remove |= {_TRACE}
        if not self._keeps_host and head.host:
            host = self._host(head.host)
            if host != head.host:
                add, remove = (*add, (b"Host", host.encode())), remove | {b"host"}
        if self._tells_tls and head.link.tls is not None:
            told = (head.link.tls.version.encode(), head.link.tls.cipher.encode())
            add = (*add, *zip(self._tls_names, told, strict=True))
            remove |= {name.lower() for name in self._tls_names}
        if self._drops_invalid:
            remove |= {name for name in head.names if not _VALID_NAME.fullmatch(name)}
        return add, remove

    def _host(self, host: str) -> str:
        """The Host that targets see: the listener's port stands in it, unless it goes without saying."""
        bare = host_of(host)
        if self._port in _USUAL_PORTS:
            return bare
        return host if bare != host else f"{host}:{self._port}"


def seen(head: RequestHead, *, with_headers: bool) -> Seen:
    """What conditions look at."""
    headers = (
        [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in head.headers]
        if with_headers
        else ()
    )
    return Seen(head.method, host_of(head.host), head.path, head.query, headers, head.peer)


def host_of(host: str) -> str:
    """A Host header without its port."""
    return _PORT.sub("", host) if ":" in host else host


def _addresses(head: RequestHead) -> int:
    return sum(value.count(b",") + 1 for name, value in head.headers if name.lower() == _FORWARDED_FOR)


def _fixed(config: Document, manner: Manner) -> Decide:
    content_type = config.get("ContentType") or "text/plain"
    headers = ((b"Content-Type", f"{content_type}; charset=utf-8".encode()),)
    body = config.get("MessageBody", "").encode()
    answer = manner.answer(int(config["StatusCode"]), headers, body, FIXED)
    return lambda _head, _body: answer


def _redirect(config: Mapping[str, str], listener: Listener, manner: Manner) -> Decide:
    status = int(config["StatusCode"].removeprefix("HTTP_"))

    def decide(head: RequestHead, _body: ReadBody) -> Decision:
        target = location(
            config,
            scheme=listener.protocol.lower(),
            host=host_of(head.host),
            port=listener.port,
            path=head.path,
            query=head.query,
        )
        headers, body = page(status)
        return manner.answer(
            status, (*headers, (b"Location", target.encode("latin-1", "replace"))), body, REDIRECT
        )

    return decide


def _header_name(attribute: str) -> bytes:
    return "-".join(part.capitalize() for part in attribute.split("_")).encode()


def _tls_name(own: Mapping[str, str], name: str) -> bytes:
    given = own.get(f"routing.http.request.{name}.header_name", "")
    return (given or name.replace("_", "-")).encode("latin-1", "replace")
