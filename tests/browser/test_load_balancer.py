"""A browser loads a page through a load balancer and talks over a WebSocket through it."""

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.elb_kit import free_port
from tests.support import Process, until
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
MESSAGES = 5
PAGE = """<!doctype html><title>Talk</title><link rel="stylesheet" href="/style.css"><p id="p">loading</p>
<script>
const said = [], report = (what) => fetch("/report?" + encodeURIComponent(JSON.stringify(what)));
const colour = () => getComputedStyle(document.getElementById("p")).color;
window.onload = async () => {
  const posted = await (await fetch("/echo?kept")).text();
  const socket = new WebSocket("ws://" + location.host + "/talk");
  socket.onmessage = (event) => {
    said.push(event.data);
    if (said.length < 5) setTimeout(() => socket.send("number " + said.length), 200);
    else socket.close(1000, "enough");
  };
  socket.onclose = (event) => report({said, posted, clean: event.wasClean, code: event.code,
    host: location.host, colour: colour(), cookie: document.cookie});
};
</script>"""
STYLE = "p { color: rgb(1, 2, 3) }"


class Site:
    """A web server on 127.0.0.1 with a page, a WebSocket that answers, and a place where the page reports to."""

    def __init__(self) -> None:
        self.port = 0
        self.reports: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.closed = threading.Event()
        self.loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._over = asyncio.Event()

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        path, _, query = request.path.partition("?")
        self.asked.append(path)
        if path == "/talk":
            return None
        if path == "/report":
            self.reports.append(json.loads(unquote(query)))
        found = {"/": (PAGE, "text/html"), "/style.css": (STYLE, "text/css"), "/echo": (query, "text/plain")}
        body, kind = found.get(path, ("", "text/plain"))
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
        if path == "/":
            headers["Set-Cookie"] = "seen=yes"
        return Response(HTTPStatus.OK, "OK", headers, body.encode())

    async def _talk(self, connection: ServerConnection) -> None:
        await connection.send("welcome")
        async for message in connection:
            await connection.send(f"heard {message}")
        self.closed.set()

    async def _serve(self) -> None:
        async with serve(self._talk, "127.0.0.1", 0, process_request=self._answer) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._up.set()
            await self._over.wait()

    def _run(self) -> None:
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    @contextmanager
    def running(self) -> Iterator["Site"]:
        self._thread.start()
        self._up.wait(10)
        try:
            yield self
        finally:
            self.loop.call_soon_threadsafe(self._over.set)
            self._thread.join()


@contextmanager
def browser(folder: Path, url: str) -> Iterator[None]:
    """A browser that shows a page until the end of the block."""
    assert CHROMIUM
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
    argv = [CHROMIUM, *options, "--remote-debugging-port=0", f"--user-data-dir={folder}", url]
    with (folder.parent / "browser.log").open("w") as log:
        child = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            yield
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def balanced(cloud: Process, backend: int, port: int) -> str:
    """A load balancer in front of a port of this machine; its name."""
    elb = cloud.client("elbv2")
    subnets = cloud.client("ec2").describe_subnets()["Subnets"]
    group = elb.create_target_group(
        Name="talk",
        Protocol="HTTP",
        Port=backend,
        VpcId=subnets[0]["VpcId"],
        TargetType="ip",
        HealthCheckPath="/health",
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1"}])
    found = elb.create_load_balancer(Name="talk", Subnets=[one["SubnetId"] for one in subnets[:2]])
    balancer = found["LoadBalancers"][0]
    forward = {"Type": "forward", "TargetGroupArn": group}
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=[forward]
    )
    elb.get_waiter("target_in_service").wait(
        TargetGroupArn=group, WaiterConfig={"Delay": 0.2, "MaxAttempts": 100}
    )
    return str(balancer["DNSName"])


def test_a_page_is_shown_and_a_websocket_held(tmp_path: Path) -> None:
    cloud, port = Process(tmp_path / "data", "--engine", "none"), free_port()
    cloud.start()
    try:
        with Site().running() as site:
            host = f"{balanced(cloud, site.port, port)}:{port}"
            with browser(tmp_path / "profile", f"http://{host}/"):
                until(lambda: site.reports, "the page reports", 60)
            assert site.closed.wait(10), "the backend sees the end of the WebSocket"
            [report] = site.reports
            assert report["said"] == ["welcome", *(f"heard number {at}" for at in range(1, MESSAGES))]
            assert (report["clean"], report["code"]) == (True, 1000)
            assert (report["host"], report["posted"], report["cookie"]) == (host, "kept", "seen=yes")
            assert report["colour"] == "rgb(1, 2, 3)", "the style sheet came through, too"
            assert {"/health", "/", "/style.css", "/talk"} <= set(site.asked)
    finally:
        assert cloud.stop() == 0
