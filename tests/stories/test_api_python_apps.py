"""Python web applications behind APIs of both kinds, unchanged: FastAPI by Mangum, Flask by apig-wsgi, Powertools."""

import pytest
from tests.apps_kit import ask, http_api, python_app, rest_api

MIB = 1024 * 1024
FASTAPI = """
from fastapi import FastAPI, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import RedirectResponse
from mangum import Mangum
from pydantic import BaseModel

import os
app = FastAPI(root_path=os.environ.get("ROOT_PATH", ""))
app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example.com"], allow_credentials=True,
                   allow_methods=["GET", "PUT"], allow_headers=["x-token"])

class Item(BaseModel):
    name: str
    price: float

@app.get("/")
def root(request: Request):
    event = request.scope["aws.event"]
    return {"base": str(request.base_url), "stage": event["requestContext"]["stage"]}

@app.get("/items/{number}")
def item(number: int, tag: list[str] = Query([])):
    if number == 0:
        raise HTTPException(404, "no such item", headers={"X-Reason": "zero"})
    return {"number": number, "tags": tag}

@app.put("/items/{number}", status_code=201)
def put(number: int, item: Item):
    return {"number": number} | item.model_dump()

@app.post("/echo")
async def echo(request: Request):
    body = await request.body()
    return Response(body, media_type=request.headers.get("x-as", "application/octet-stream"),
                    headers={"x-size": str(len(body))})

@app.get("/bytes/{size}")
def some(size: int):
    return Response(bytes(range(256)) * (size // 256), media_type="application/octet-stream")

@app.get("/text/{size}")
def text(size: int):
    return Response("t" * size, media_type="text/plain")

@app.get("/cookies")
def cookies(request: Request, response: Response):
    response.set_cookie("a", "1", httponly=True)
    response.set_cookie("b", "x y")
    return dict(request.cookies)

@app.get("/away")
def away():
    return RedirectResponse("/items/1?tag=moved", 307)

@app.post("/form")
def form(name: str = Form(), city: str = Form("-")):
    return {"name": name, "city": city}

@app.post("/upload")
async def upload(file: UploadFile):
    content = await file.read()
    return {"name": file.filename, "size": len(content), "sum": sum(content)}

@app.get("/broken")
def broken():
    raise RuntimeError("as it happens")

@app.get("/files/{path:path}")
def file(path: str, request: Request):
    return {"path": path, "query": request.url.query}

@app.delete("/items/{number}", status_code=204)
def delete(number: int):
    return None

handler = Mangum(app, lifespan="off", api_gateway_base_path=os.environ.get("BASE_PATH", "/"))
"""


@pytest.fixture(scope="module")
def application(cumulo):
    return python_app(cumulo, "api-fastapi", FASTAPI, "fastapi", "mangum", "python-multipart")


@pytest.fixture(scope="module", params=["HTTP", "REST"])
def site(request, cumulo, application):
    if request.param == "REST":
        return rest_api(cumulo, application, binaryMediaTypes=["*/*"])
    return http_api(cumulo, application)


def test_routes_queries_and_refusals(site):
    answer = site.get("/items/3?tag=a&tag=b%20c")
    assert (answer.status, answer.json) == (200, {"number": 3, "tags": ["a", "b c"]})
    assert answer.header("content-type") == "application/json"
    assert site.get("/items/0").json == {"detail": "no such item"}
    assert site.get("/items/0").header("x-reason") == "zero"
    assert site.get("/items/x").status == 422
    assert site.get("/nowhere").status == 404
    assert site.ask("DELETE", "/items/3").status == 204
    assert site.ask("PATCH", "/items/3").status == 405
    made = site.ask(
        "PUT", "/items/4", '{"name": "Kette", "price": 2.5}', {"Content-Type": "application/json"}
    )
    assert (made.status, made.json) == (201, {"number": 4, "name": "Kette", "price": 2.5})
    assert site.ask("PUT", "/items/4", "{", {"Content-Type": "application/json"}).status == 422
    assert site.get("/openapi.json").json["info"]["title"] == "FastAPI"


def test_forms_uploads_and_bytes(site):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert site.ask("POST", "/form", "name=Zo%C3%AB&city=K%C3%B6ln", kind).json == {
        "name": "Zoë",
        "city": "Köln",
    }
    content = bytes(range(256)) * 40
    parts = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n%b\r\n--cut--\r\n'
        % content
    )
    sent = site.ask("POST", "/upload", parts, {"Content-Type": "multipart/form-data; boundary=cut"})
    assert sent.json == {"name": "a.bin", "size": len(content), "sum": sum(content)}
    for body in (b"", b"\x00\xff\x80", content, "schöne Grüße".encode()):
        echoed = site.ask(
            "POST", "/echo", body, {"Content-Type": "application/octet-stream", "Accept": "*/*"}
        )
        assert (echoed.status, echoed.body, echoed.header("x-size")) == (200, body, str(len(body)))
    text = site.ask("POST", "/echo", "schöne Grüße", {"Content-Type": "text/plain", "X-As": "text/plain"})
    assert text.body.decode() == "schöne Grüße"


def test_cookies_and_redirects(site):
    answer = site.get("/cookies", Cookie="x=1; y=a%20b")
    assert answer.json == {"x": "1", "y": "a%20b"}
    assert [one.partition(";")[0] for one in answer.headers["set-cookie"]] == ["a=1", 'b="x y"']
    away = site.get("/away")
    assert (away.status, away.header("location")) == (307, "/items/1?tag=moved")


def test_paths_with_letters_of_all_kinds(site):
    assert site.get("/files/a%20b/%C3%BC.txt?x=%26").json == {"path": "a b/ü.txt", "query": "x=%26"}


def test_what_the_application_says_to_browsers_goes_through(site):
    asked = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "PUT",
             "Access-Control-Request-Headers": "x-token"}  # fmt: skip
    answer = site.ask("OPTIONS", "/items/1", headers=asked)
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "https://shop.example.com")
    assert answer.header("access-control-allow-credentials") == "true"
    shown = site.get("/items/1", Origin="https://shop.example.com")
    assert shown.header("access-control-allow-origin") == "https://shop.example.com"
    assert site.ask("OPTIONS", "/items/1", headers=asked | {"Origin": "https://evil.example"}).status == 400


def test_an_exception_is_the_applications_own_500_or_the_gateways(site):
    answer = site.get("/broken")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")


def test_bodies_up_to_the_limits(site):
    """A function is given 6 MB at most, which base64 makes 4.5 MB of; an API takes 10 MB."""
    four = 4 * MIB
    assert site.ask("POST", "/echo", b"\xfe" * four, {"Accept": "*/*"}).body == b"\xfe" * four
    assert len(site.get(f"/bytes/{four}", Accept="*/*").body) == four
    assert len(site.get(f"/text/{5 * MIB}").body) == 5 * MIB
    assert site.get(f"/text/{7 * MIB}").status in {500, 502}
    assert site.ask("POST", "/echo", b"\xfe" * (9 * MIB)).status == 413
    assert site.ask("POST", "/echo", b"x" * (10 * MIB + 1)).status == 413


def test_an_http_apis_named_stage_is_a_part_of_the_path(cumulo):
    function = python_app(
        cumulo, "api-fastapi-live", FASTAPI, "fastapi", "mangum", "python-multipart",
        Environment={"Variables": {"BASE_PATH": "/live", "ROOT_PATH": "/live"}},
    )  # fmt: skip
    site = http_api(cumulo, function, stage="live")
    assert site.get("/items/3").json == {"number": 3, "tags": []}
    assert site.get("/").json == {"base": f"http://{site.host}/live/", "stage": "live"}


def test_an_application_below_a_base_path_of_a_domain(cumulo, application):
    """Format 1.0 shows the base path, 2.0 does not; Mangum is told of it and takes it away."""
    function = python_app(
        cumulo, "api-fastapi-v1", FASTAPI, "fastapi", "mangum", "python-multipart",
        Environment={"Variables": {"BASE_PATH": "/v1", "ROOT_PATH": "/v1"}},
    )  # fmt: skip
    rest, v2, acm = cumulo.client("apigateway"), cumulo.client("apigatewayv2"), cumulo.client("acm")
    name = "shop.example.com"
    certificate = acm.request_certificate(DomainName=name)["CertificateArn"]
    v2.create_domain_name(DomainName=name, DomainNameConfigurations=[{"CertificateArn": certificate}])
    try:
        for site, key in ((rest_api(cumulo, function), "v1"), (http_api(cumulo, application), "v2")):
            stage = site.stage or "$default"
            v2.create_api_mapping(DomainName=name, ApiId=site.id, Stage=stage, ApiMappingKey=key)
            told = ask(cumulo.endpoint, name, "GET", f"/{key}/items/3?tag=a")
            assert (told.status, told.json) == (200, {"number": 3, "tags": ["a"]})
            assert ask(cumulo.endpoint, name, "GET", f"/{key}/nothing").status == 404
        assert ask(cumulo.endpoint, name, "GET", "/v1/").json["base"] == f"http://{name}/v1/"
        assert ask(cumulo.endpoint, name, "GET", "/v3/items/3").status == 403
    finally:
        for one in v2.get_api_mappings(DomainName=name)["Items"]:
            v2.delete_api_mapping(DomainName=name, ApiMappingId=one["ApiMappingId"])
        rest.delete_domain_name(domainName=name)


FLASK = """
from apig_wsgi import make_lambda_handler
from flask import Flask, jsonify, make_response, request, session

app = Flask(__name__)
app.secret_key = "only here"

@app.get("/hello/<name>")
def hello(name):
    return jsonify(name=name, tags=request.args.getlist("tag"), host=request.host, scheme=request.scheme)

@app.post("/login")
def login():
    session["user"] = request.form["user"]
    answer = make_response("welcome", 201)
    answer.set_cookie("theme", "dark")
    return answer

@app.get("/me")
def me():
    return session.get("user", "nobody")

@app.post("/echo")
def echo():
    return request.get_data(), 200, {"Content-Type": "application/octet-stream"}

@app.get("/boom")
def boom():
    1 / 0

handler = make_lambda_handler(app, binary_support=True)
"""


@pytest.mark.parametrize("kind", ["HTTP", "REST"])
def test_flask_by_a_wsgi_adapter(cumulo, kind):
    function = python_app(cumulo, f"api-flask-{kind}", FLASK, "flask", "apig-wsgi")
    site = (
        http_api(cumulo, function) if kind == "HTTP" else rest_api(cumulo, function, binaryMediaTypes=["*/*"])
    )
    name, said = (
        ("J%C3%BCrgen", "Jürgen") if kind == "REST" else ("a%20b", "a b")
    )  # it takes paths for encoded
    shown = site.get(f"/hello/{name}?tag=a&tag=b").json
    assert (shown["name"], shown["tags"], shown["host"]) == (said, ["a", "b"], site.host)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = site.ask("POST", "/login", "user=kay", form)
    assert (answer.status, answer.body) == (201, b"welcome")
    cookies = [one.partition(";")[0] for one in answer.headers["set-cookie"]]
    assert "theme=dark" in cookies
    assert len(cookies) == 2
    assert site.get("/me", Cookie="; ".join(cookies)).body == b"kay"
    assert site.get("/me").body == b"nobody"
    content = bytes(range(256))
    assert site.ask("POST", "/echo", content, {"Accept": "*/*"}).body == content
    assert site.get("/boom").status == 500


POWERTOOLS = """
from aws_lambda_powertools.event_handler import (
    APIGatewayHttpResolver, APIGatewayRestResolver, CORSConfig, Response, content_types)
from aws_lambda_powertools.event_handler.exceptions import BadRequestError, NotFoundError
import os

cors = CORSConfig(allow_origin="https://shop.example.com", max_age=300)
app = {"HTTP": APIGatewayHttpResolver, "REST": APIGatewayRestResolver}[os.environ["KIND"]](cors=cors)

@app.get("/todos/<todo>")
def todo(todo):
    return {"todo": todo, "q": app.current_event.query_string_parameters or {},
            "ip": app.current_event.request_context.http.source_ip if os.environ["KIND"] == "HTTP"
                  else app.current_event.request_context.identity.source_ip}

@app.post("/todos")
def add():
    data = app.current_event.json_body
    if "title" not in data:
        raise BadRequestError("no title")
    return {"made": data["title"]}, 201

@app.get("/logo", compress=True)
def logo():
    return Response(status_code=200, content_type="image/svg+xml", body="<svg/>" * 500)

@app.not_found
def nothing(error):
    return Response(status_code=418, content_type=content_types.TEXT_PLAIN, body="teapot")

def handler(event, context):
    return app.resolve(event, context)
"""


@pytest.mark.parametrize("kind", ["HTTP", "REST"])
def test_powertools_event_handlers(cumulo, kind):
    import gzip

    function = python_app(
        cumulo, f"api-powertools-{kind}", POWERTOOLS, "aws-lambda-powertools",
        Environment={"Variables": {"KIND": kind, "POWERTOOLS_SERVICE_NAME": "todo"}},
    )  # fmt: skip
    site = (
        http_api(cumulo, function) if kind == "HTTP" else rest_api(cumulo, function, binaryMediaTypes=["*/*"])
    )
    shown = site.get("/todos/7?a=1", Origin="https://shop.example.com")
    assert shown.json == {"todo": "7", "q": {"a": "1"}, "ip": "127.0.0.1"}
    assert shown.header("access-control-allow-origin") == "https://shop.example.com"
    assert site.ask("POST", "/todos", '{"title": "shop"}').json == {"made": "shop"}
    refused = site.ask("POST", "/todos", "{}")
    assert (refused.status, refused.json["message"]) == (400, "no title")
    assert site.get("/none").status == 418
    packed = site.get("/logo", Accept_Encoding="gzip", Accept="*/*")
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == b"<svg/>" * 500
    preflight = site.ask(
        "OPTIONS",
        "/todos/7",
        headers={"Origin": "https://shop.example.com", "Access-Control-Request-Method": "GET"},
    )
    assert (preflight.status, preflight.header("access-control-max-age")) == (204, "300")
