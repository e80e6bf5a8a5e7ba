"""Frameworks of Node with adapters of their own, unchanged: Fastify, Hono (streamed, too) and Apollo's GraphQL."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from tests.apps_kit import http_api, node_app, rest_api

FASTIFY = """
const fastify = require("fastify")(), adapter = require("@fastify/aws-lambda");
fastify.addContentTypeParser("*", { parseAs: "buffer" }, (request, body, done) => done(null, body));
fastify.get("/hello/:name", async (q) => ({ name: q.params.name, query: q.query, host: q.hostname, ip: q.ip }));
fastify.post("/items", { schema: { body: { type: "object", required: ["n"], properties: { n: { type: "integer" } } } } },
  async (q, reply) => reply.code(201).header("x-made", "yes").send({ n: q.body.n + 1 }));
fastify.post("/echo", async (q, reply) => reply.type("application/octet-stream").send(q.body));
exports.handler = adapter(fastify, { binaryMimeTypes: ["application/octet-stream"] });
"""
HONO = """
const { Hono } = require("hono"), { handle, streamHandle } = require("hono/aws-lambda");
const { setCookie, getCookie } = require("hono/cookie"), { cors } = require("hono/cors"), { stream } = require("hono/streaming");
const app = new Hono();
app.use("*", cors({ origin: "https://shop.example.com", credentials: true }));
app.get("/hello/:name", (c) => c.json({ name: c.req.param("name"), tags: c.req.queries("tag"), url: c.req.url }));
app.get("/cookies", (c) => { setCookie(c, "a", "1"); setCookie(c, "b", "2"); return c.text(getCookie(c, "x") || "none"); });
app.post("/echo", async (c) => c.body(await c.req.arrayBuffer(), 200, { "Content-Type": "application/octet-stream" }));
app.get("/story", (c) => stream(c, async (out) => {
  for (let i = 0; i < 4; i++) { await out.write(`part ${i};`); await out.sleep(400); }
}));
exports.handler = handle(app);
exports.streaming = streamHandle(app);
"""
APOLLO = """
const { ApolloServer } = require("@apollo/server");
const { handlers, startServerAndCreateLambdaHandler } = require("@as-integrations/aws-lambda");
const server = new ApolloServer({
  typeDefs: "type Query { hello(name: String!): String!, broken: Int } type Mutation { add(a: Int!, b: Int!): Int! }",
  resolvers: {
    Query: { hello: (_, { name }) => `hello ${name}`, broken: () => { throw new Error("as it happens"); } },
    Mutation: { add: (_, { a, b }) => a + b },
  },
});
const kind = process.env.KIND === "REST" ? handlers.createAPIGatewayProxyEventRequestHandler()
                                         : handlers.createAPIGatewayProxyEventV2RequestHandler();
exports.handler = startServerAndCreateLambdaHandler(server, kind);
"""
BOTH = pytest.mark.parametrize("kind", ["HTTP", "REST"])


def site_of(cumulo, kind, function):
    return (
        http_api(cumulo, function) if kind == "HTTP" else rest_api(cumulo, function, binaryMediaTypes=["*/*"])
    )


@BOTH
def test_fastify(cumulo, kind):
    function = node_app(cumulo, f"api-fastify-{kind}", FASTIFY, "fastify@5.6.1", "@fastify/aws-lambda@6.1.1")
    site = site_of(cumulo, kind, function)
    told = site.get("/hello/b%20c?a=1").json
    assert (told["name"], told["query"], told["host"]) == ("b c", {"a": "1"}, site.host)
    kind_of = {"Content-Type": "application/json"}
    made = site.ask("POST", "/items", '{"n": 1}', kind_of)
    assert (made.status, made.json, made.header("x-made")) == (201, {"n": 2}, "yes")
    assert site.ask("POST", "/items", '{"n": "x"}', kind_of).status == 400
    content = bytes(range(256)) * 100
    sent = {"Content-Type": "application/octet-stream", "Accept": "*/*"}
    assert site.ask("POST", "/echo", content, sent).body == content
    assert site.get("/none").status == 404


@BOTH
def test_hono(cumulo, kind):
    function = node_app(cumulo, f"api-hono-{kind}", HONO, "hono@4.10.3")
    site = site_of(cumulo, kind, function)
    told = site.get("/hello/bob?tag=a&tag=b%20c").json
    assert (told["name"], told["tags"]) == ("bob", ["a", "b c"])
    assert told["url"].startswith(f"https://{site.host}/hello/bob?")
    cookies = site.get("/cookies", Cookie="x=here; y=2")
    assert cookies.body == b"here"
    assert [one.partition(";")[0] for one in cookies.headers["set-cookie"]] == ["a=1", "b=2"]
    content = bytes(range(256)) * 100
    sent = {"Content-Type": "application/octet-stream", "Accept": "*/*"}
    assert site.ask("POST", "/echo", content, sent).body == content
    asked = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "GET"}
    preflight = site.ask("OPTIONS", "/hello/bob", headers=asked)
    assert (preflight.status, preflight.header("access-control-allow-origin")) == (
        204,
        "https://shop.example.com",
    )


def test_hono_streams_through_a_rest_api(cumulo):
    function = node_app(cumulo, "api-hono-stream", HONO, "hono@4.10.3", Handler="index.streaming")
    site = rest_api(cumulo, function)
    rest = cumulo.client("apigateway")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2021-11-15/functions/{function}/response-streaming-invocations"
    for one in rest.get_resources(restApiId=site.id)["items"]:
        rest.put_integration(restApiId=site.id, resourceId=one["id"], httpMethod="ANY", type="AWS_PROXY",
                             integrationHttpMethod="POST", uri=uri, responseTransferMode="STREAM")  # fmt: skip
    rest.create_deployment(restApiId=site.id, stageName=site.stage)
    assert site.get("/hello/bob").json["name"] == "bob"
    cookies = site.get("/cookies", Cookie="x=here")
    assert [one.partition(";")[0] for one in cookies.headers["set-cookie"]] == ["a=1", "b=2"]
    where = urlsplit(cumulo.endpoint)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        connection.request("GET", f"/{site.stage}/story", headers={"Host": site.host})
        answer = connection.getresponse()
        pieces = []
        while piece := answer.read1(65536):
            pieces.append(piece.decode())
        assert "".join(pieces) == "part 0;part 1;part 2;part 3;"
        assert len(pieces) == 4, "each is here when it is written"
    finally:
        connection.close()


@BOTH
def test_apollo(cumulo, kind):
    packages = ("@apollo/server@5.5.1", "@as-integrations/aws-lambda@4.0.1", "graphql@16.15.0")
    function = node_app(
        cumulo, f"api-apollo-{kind}", APOLLO, *packages, Environment={"Variables": {"KIND": kind}}
    )  # fmt: skip
    site = site_of(cumulo, kind, function)

    def ask(query: str, **variables):
        body = json.dumps({"query": query, "variables": variables})
        return site.ask("POST", "/graphql", body, {"Content-Type": "application/json"}).json

    assert ask("query ($n: String!) { hello(name: $n) }", n="Zoë") == {"data": {"hello": "hello Zoë"}}
    assert ask("mutation { add(a: 2, b: 3) }") == {"data": {"add": 5}}
    assert ask("{ broken }")["errors"][0]["message"] == "as it happens"
    assert site.ask("POST", "/graphql", "{", {"Content-Type": "application/json"}).status == 400
