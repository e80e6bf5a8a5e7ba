"""API definitions that grow, turn in circles, or want to read what is not theirs: refused or read, and others are served."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.api_torture_kit import Attacked, Others

SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    made = Attacked(tmp_path_factory.mktemp("imports"))
    yield made
    made.close()


HEAD = 'openapi: 3.0.1\ninfo: {title: x, version: "1"}\n'
LAUGHS = HEAD + "x-a: &a0 [x, x]\n" + "".join(f"x-b{at}: &a{at + 1} [*a{at}, *a{at}]\n" for at in range(60))
LAUGHING_MODELS = (
    HEAD
    + "components:\n  schemas:\n    A0: &a0 {type: object}\n"
    + "".join(f"    A{at + 1}: &a{at + 1} {{allOf: [*a{at}, *a{at}]}}\n" for at in range(60))
    + "paths: {}\n"
)
LAUGHING_PATHS = (
    HEAD
    + "x-o: &o {responses: {'200': {description: x}}}\n"
    + "paths:\n"
    + "".join(f"  /p{at}: {{get: *o, post: *o, put: *o, delete: *o}}\n" for at in range(3000))
)


def openapi(**more: Any) -> str:
    return json.dumps({"openapi": "3.0.1", "info": {"title": "x", "version": "1"}, "paths": {}} | more)


def doubling(kind: str) -> dict[str, Any]:
    where = "#/components/schemas/D"
    return {f"D{at}": {kind: [{"$ref": f"{where}{at + 1}"}] * 2} for at in range(60)} | {
        "D60": {"type": "object"}
    }


BODIES = {
    "aliases that double": LAUGHS,
    "models of aliases that double": LAUGHING_MODELS,
    "paths of aliases": LAUGHING_PATHS,
    "an alias of itself": HEAD + "x: &a [*a]\npaths: {}\n",
    "a map that merges itself": HEAD + "x: &a {<<: *a, b: 1}\npaths: {}\n",
    "an object of Python": HEAD + "x: !!python/object/apply:os.system ['touch /tmp/evil']\n",
    "a tag": HEAD + "paths: !include /etc/passwd\n",
    "deep lists": "[" * 100_000,
    "deep maps": '{"a":' * 100_000,
    "deep YAML": HEAD + "x: " + "[" * 20_000 + "]" * 20_000,
    "deep blocks": HEAD + "".join("  " * at + "a:\n" for at in range(1500)),
    "models that double": openapi(components={"schemas": doubling("allOf")}),
    "models of one of two": openapi(components={"schemas": doubling("oneOf")}),
    "a model of itself": openapi(components={"schemas": {"A": {"$ref": "#/components/schemas/A"}}}),
    "models of each other": openapi(components={"schemas": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}}),
    "parameters of themselves": openapi(components={"parameters": {"A": {"$ref": "#/components/parameters/A"}}},
                                        paths={"/a": {"get": {"parameters": [{"$ref": "#/components/parameters/A"}], "responses": {}}}}),
    "a path of itself": openapi(paths={"/a": {"$ref": "#/paths/~1a"}}),
    "a reference to a file": openapi(paths={"/a": {"$ref": "file:///etc/passwd"}}),
    "a reference to a server": openapi(paths={"/a": {"$ref": "http://169.254.169.254/"}}),
    "many paths": openapi(paths={f"/p{at}": {"get": {"responses": {}}} for at in range(20_000)}),
    "a long path": openapi(paths={"/" + "a/" * 50_000: {"get": {"responses": {}}}}),
    "a date that is none": HEAD + "x: 9999-99-99\npaths: {}\n",
    "a number that is huge": HEAD + "x: " + "9" * 100_000 + "\npaths: {}\n",
    "numbers of sixty": HEAD + "x: " + "1:" * 50_000 + "1\npaths: {}\n",
    "keys that are lists": HEAD + "? [a, b]\n: c\npaths: {}\n",
    "names of other kinds": HEAD + "1: 2\ntrue: 3\nnull: 4\npaths: {}\n",
    "paths of other kinds": HEAD + "paths: {1: {get: {}}, null: {}, true: []}\n",
    "nothing": "", "a list": "[]", "a text": "x", "zeros": "\0" * 1000, "tabs": "\t\t: \t",
}  # fmt: skip


@pytest.mark.parametrize("body", list(BODIES.values()), ids=list(BODIES))
def test_imports_end(attacked: Attacked, body: str) -> None:
    def ask(call: Any, **values: Any) -> None:
        began = time.monotonic()
        try:
            made = call(**values)
        except ClientError as refused:
            status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
            assert status < 500 or status == 501, refused
        else:
            with contextlib.suppress(ClientError):
                if "ApiId" in made:
                    attacked.v2.export_api(ApiId=made["ApiId"], OutputType="JSON", Specification="OAS30")
                    attacked.v2.delete_api(ApiId=made["ApiId"])
                else:
                    attacked.rest.create_deployment(restApiId=made["id"], stageName="dev")
                    attacked.rest.get_export(restApiId=made["id"], stageName="dev", exportType="oas30")
                    attacked.rest.delete_rest_api(restApiId=made["id"])
        assert time.monotonic() - began < SECONDS_MAX

    with Others(attacked):
        ask(attacked.rest.import_rest_api, body=body.encode())
        ask(attacked.v2.import_api, Body=body)
