"""A Node Express application behind APIs of both kinds, unchanged, by two adapters."""

import pytest
from tests.apps_kit import http_api, node_app, rest_api

EXPRESS = """
const express = require("express");
const app = express();
app.use((request, response, next) => { response.set("x-seen", request.method); next(); });
app.get("/hello/:name", (q, r) => r.json({ name: q.params.name, query: q.query, path: q.path, host: q.hostname }));
app.post("/sum", express.json(), (q, r) => r.status(201).json({ sum: q.body.a + q.body.b }));
app.post("/form", express.urlencoded({ extended: true }), (q, r) => r.json(q.body));
app.post("/echo", express.raw({ type: "*/*", limit: "10mb" }), (q, r) => r.type("application/octet-stream").send(q.body));
app.get("/png", (q, r) => r.type("image/png").send(Buffer.from([0x89, 0x50, 0, 255])));
app.get("/cookies", (q, r) => {
  r.cookie("a", "1", { httpOnly: true }); r.cookie("b", "2"); r.send(q.headers.cookie || "none");
});
app.get("/away", (q, r) => r.redirect(302, "/hello/there"));
app.delete("/thing", (q, r) => r.status(204).end());
app.get("/missing", (q, r) => r.status(404).send("no such thing"));
app.get("/broken", () => { throw new Error("as it happens"); });
app.get("/slow", async (q, r) => { await new Promise((done) => setTimeout(done, 50)); r.send("slow"); });
"""
ADAPTERS = {
    "serverless-http": 'module.exports.handler = require("serverless-http")(app, { binary: true });',
    "@codegenie/serverless-express": 'module.exports.handler = require("@codegenie/serverless-express")'
    '({ app, binarySettings: { contentTypes: ["image/*", "application/octet-stream"] } });',
}
VERSIONS = {"serverless-http": "4.0.0", "@codegenie/serverless-express": "4.17.1"}


@pytest.fixture(scope="module", params=[(adapter, kind) for adapter in ADAPTERS for kind in ("HTTP", "REST")])
def site(request, cumulo):
    adapter, kind = request.param
    name = f"api-express-{kind}-{adapter.strip('@').replace('/', '-')}"
    source = EXPRESS + ADAPTERS[adapter]
    function = node_app(cumulo, name, source, "express@5.1.0", f"{adapter}@{VERSIONS[adapter]}")
    if kind == "REST":
        return rest_api(cumulo, function, binaryMediaTypes=["*/*"])
    return http_api(cumulo, function)


def test_an_express_application_answers(site):
    shown = site.get("/hello/bob?z=1&y=a%20b")
    assert shown.json == {
        "name": "bob",
        "query": {"z": "1", "y": "a b"},
        "path": "/hello/bob",
        "host": site.host,
    }
    assert shown.header("x-seen") == "GET"
    kind = {"Content-Type": "application/json"}
    summed = site.ask("POST", "/sum", '{"a": 1, "b": 2}', kind)
    assert (summed.status, summed.json) == (201, {"sum": 3})
    assert site.ask("POST", "/sum", "{", kind).status == 400
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert site.ask("POST", "/form", "a[b]=1&c=K%C3%B6ln", form).json == {"a": {"b": "1"}, "c": "Köln"}
    assert site.get("/slow").body == b"slow"
    assert site.ask("DELETE", "/thing").status == 204
    assert (site.get("/missing").status, site.get("/missing").body) == (404, b"no such thing")
    assert site.get("/broken").status == 500


def test_lists_in_queries(site):
    answer = site.get("/hello/bob?z=1&z=2")
    assert answer.json["query"]["z"] in (["1", "2"], "1,2")  # some adapters take what API Gateway joined


def test_bytes_cookies_and_redirects(site):
    png = site.get("/png", Accept="image/png")
    assert (png.body, png.header("content-type")) == (b"\x89P\x00\xff", "image/png")
    content = bytes(range(256)) * 4000
    sent = {"Content-Type": "application/octet-stream", "Accept": "*/*"}
    assert site.ask("POST", "/echo", content, sent).body == content
    cookies = site.get("/cookies", Cookie="x=1; y=2")
    assert cookies.body == b"x=1; y=2"
    assert [one.partition(";")[0] for one in cookies.headers["set-cookie"]] == ["a=1", "b=2"]
    away = site.get("/away")
    assert (away.status, away.header("location")) == (302, "/hello/there")
