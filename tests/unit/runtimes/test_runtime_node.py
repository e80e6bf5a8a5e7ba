"""Node.js functions, really run."""

import json
import re
import shutil
from pathlib import Path

import pytest
from runtime_lab import Played, machine, play, write

from cumulo.sandbox.contract import RuntimeHost, RuntimeMissing
from cumulo.sandbox.runtimes import HostRuntimes
from cumulo.sandbox.runtimes.places import Places

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on this machine")

CLASSIC, MODERN = "nodejs20.x", "nodejs24.x"


def host_of(runtime: str, tmp_path: Path) -> RuntimeHost:
    return machine().prepare(runtime, "index.handler", tmp_path)


def run(
    tmp_path: Path,
    source: str,
    *events: object,
    runtime: str = CLASSIC,
    file: str = "index.js",
    **more: object,
) -> Played:
    write(tmp_path, {file: source})
    return play(host_of(runtime, tmp_path), tmp_path, *(events or ({},)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("runtime", [CLASSIC, MODERN])
@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("index.js", "exports.handler = async (event) => ({ got: event });"),
        ("index.cjs", "module.exports = { handler: async (event) => ({ got: event }) };"),
        ("index.mjs", "export const handler = async (event) => ({ got: event });"),
        (
            "index.mjs",
            "const got = await Promise.resolve('got'); export const handler = async (event) => ({ [got]: event });",
        ),
    ],
)
def test_an_async_handler_answers_from_every_kind_of_module(
    tmp_path: Path, runtime: str, file: str, source: str
):
    assert run(tmp_path, source, 1, "two", runtime=runtime, file=file).answers == [{"got": 1}, {"got": "two"}]


def test_a_package_of_type_module_has_es_modules_in_js_files(tmp_path: Path):
    write(
        tmp_path,
        {
            "package.json": '{"type": "module"}',
            "lib/x.js": "export const handler = async () => import.meta.url;",
        },
    )
    played = play(host_of(CLASSIC, tmp_path), tmp_path, {}, handler="lib/x.handler")
    assert played.answers == [f"file://{tmp_path}/lib/x.js"]


def test_a_handler_in_a_folder_under_a_nested_export(tmp_path: Path):
    write(tmp_path, {"src/app.js": "exports.api = { v1: { go: async () => 'deep' } };"})
    assert play(host_of(CLASSIC, tmp_path), tmp_path, {}, handler="src/app.api.v1.go").answers == ["deep"]


def test_a_module_of_the_function_is_found(tmp_path: Path):
    write(tmp_path, {"node_modules/left/index.js": "module.exports = 'left';"})
    assert run(tmp_path, "const l = require('left'); exports.handler = async () => l;").answers == ["left"]


def test_the_context_has_what_aws_gives(tmp_path: Path):
    source = """exports.handler = async (event, c) => [
      c.awsRequestId, c.functionName, c.functionVersion, c.memoryLimitInMB, c.invokedFunctionArn, c.logGroupName,
      c.logStreamName, c.clientContext, c.identity, c.callbackWaitsForEmptyEventLoop,
      c.getRemainingTimeInMillis() > 0 && c.getRemainingTimeInMillis() <= 3000, process.env._X_AMZN_TRACE_ID,
      typeof c.done, typeof c.succeed, typeof c.fail ];"""
    headers = {
        "Lambda-Runtime-Client-Context": json.dumps({"custom": {"a": 1}}),
        "Lambda-Runtime-Cognito-Identity": json.dumps({"cognitoIdentityId": "id"}),
    }
    (answer,) = run(tmp_path, source, headers=headers).answers
    assert answer == [
        "request-0", "f", "$LATEST", "256", "arn:aws:lambda:us-east-1:000000000000:function:f", "/aws/lambda/f",
        "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef", {"custom": {"a": 1}}, {"cognitoIdentityId": "id"}, True,
        True, "Root=1-trace-0", "function", "function", "function",
    ]  # fmt: skip


def test_a_callback_answers_when_nothing_is_left_to_do(tmp_path: Path):
    source = """let late = 0;
    exports.handler = (event, context, callback) => {
      setTimeout(() => { late += 1; }, 30);
      callback(null, { late });
    };
    exports.late = async () => late;"""
    source += "\nprocess.on('exit', () => {});"
    assert run(tmp_path, source, {}, {}).answers == [{"late": 0}, {"late": 1}]


def test_a_callback_need_not_wait(tmp_path: Path):
    source = """exports.handler = (event, context, callback) => {
      context.callbackWaitsForEmptyEventLoop = false;
      setInterval(() => {}, 1000);
      callback(null, 'now');
    };"""
    assert run(tmp_path, source, {}, {}).answers == ["now", "now"]


def test_a_callback_waits_for_what_it_started(tmp_path: Path):
    source = """exports.handler = (event, context, callback) => {
      const answer = { at: 0 };
      setTimeout(() => { answer.at = 1; }, 30);
      callback(null, answer);
    };"""
    assert run(tmp_path, source).answers == [{"at": 1}]


@pytest.mark.parametrize(
    ("call", "answers", "errors"),
    [
        ("context.succeed('s')", ["s"], []),
        ("context.done(null, 'd')", ["d"], []),
        ("callback(null, 'c'); callback(null, 'again')", ["c"], []),
        ("callback(new TypeError('t'))", [], [("TypeError", "t")]),
        ("callback('text')", [], [("string", "text")]),
        ("context.fail(new Error('f'))", [], [("Error", "f")]),
        ("throw new RangeError('r')", [], [("RangeError", "r")]),
        ("", [None], []),
    ],
)
def test_the_old_ways_to_answer(
    tmp_path: Path, call: str, answers: list[object], errors: list[tuple[str, str]]
):
    played = run(tmp_path, f"exports.handler = (event, context, callback) => {{ {call} }};")
    assert played.answers == answers
    assert [(error["errorType"], error["errorMessage"]) for error in played.errors] == errors


def test_node_24_refuses_callback_handlers(tmp_path: Path):
    source = "exports.handler = (event, context, callback) => callback(null, 1);"
    played = run(tmp_path, source, runtime=MODERN, until_exit=True)
    (error,) = played.errors
    assert error["errorType"] == "Runtime.CallbackHandlerDeprecated"
    assert error["errorMessage"].startswith(
        "ERROR: AWS Lambda has removed support for callback-based function handlers"
    )
    assert played.exit is not None
    assert played.exit.code != 0


def test_node_24_takes_what_a_handler_returns(tmp_path: Path):
    assert run(tmp_path, "exports.handler = (event) => event + 1;", 1, runtime=MODERN).answers == [2]


@pytest.mark.parametrize("runtime", [CLASSIC, MODERN])
def test_an_error_has_its_type_message_and_trace(tmp_path: Path, runtime: str):
    source = "class Odd extends Error { constructor(m) { super(m); this.name = 'Odd'; } }\n"
    source += "exports.handler = async () => { throw new Odd('strange'); };"
    played = run(tmp_path, source, {}, {}, runtime=runtime)
    assert [said.path.rsplit("/", 2)[1] for said in played.said] == ["request-0", "request-1"]
    for said in played.said:
        assert said.headers["lambda-runtime-function-error-type"] == "Odd"
        assert set(said.value) == {"errorType", "errorMessage", "trace"}
        assert said.value["trace"][0] == "Odd: strange"
        assert "index.js" in said.value["trace"][1]
    assert re.match(r"\S+Z\trequest-0\tERROR\tInvoke Error \t\{\"errorType\":\"Odd\"", played.frames[0].text)


@pytest.mark.parametrize("runtime", [CLASSIC, MODERN])
def test_a_promise_that_never_settles_is_an_error(tmp_path: Path, runtime: str):
    played = run(tmp_path, "exports.handler = async () => new Promise(() => {});", {}, {}, runtime=runtime)
    assert [error["errorType"] for error in played.errors] == ["Runtime.NodeJsExit"] * 2


def test_an_unhandled_rejection_ends_the_process(tmp_path: Path):
    source = "exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 500)); };"
    played = run(tmp_path, source, until_exit=True)
    (error,) = played.errors
    assert (error["errorType"], error["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "Error: lost")
    assert played.said[0].path.endswith("/invocation/request-0/error")
    assert played.exit is not None
    assert played.exit.code == 128


def test_an_uncaught_exception_ends_the_process(tmp_path: Path):
    source = "exports.handler = async () => { setTimeout(() => { throw new Error('late'); }, 1); await new Promise((r) => setTimeout(r, 500)); };"
    played = run(tmp_path, source, until_exit=True)
    assert [error["errorMessage"] for error in played.errors] == ["late"]
    assert played.exit is not None
    assert played.exit.code == 129


@pytest.mark.parametrize(
    ("files", "handler", "kind", "words"),
    [
        ({}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'index'\nRequire stack:\n- "),
        ({"index.js": "require('nope')"}, "index.handler", "Runtime.ImportModuleError", "Cannot find module 'nope'"),
        ({"index.js": "exports.x = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ({"index.js": "exports.handler = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function"),
        ({"index.js": "x = {"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
        ({"index.mjs": "x = {"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
        ({"index.js": ""}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ({"index.js": ""}, "../index.handler", "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name."),
        ({"index.js": "throw new Error('early')"}, "index.handler", "Error", "early"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_an_init_error(
    tmp_path: Path, files: dict[str, str], handler: str, kind: str, words: str
):
    write(tmp_path, files)
    played = play(host_of(CLASSIC, tmp_path), tmp_path, {}, handler=handler, until_exit=True)
    (said,) = played.said
    assert said.path == "/2018-06-01/runtime/init/error"
    assert said.headers["lambda-runtime-function-error-type"] == kind
    assert words in said.value["errorMessage"]
    assert re.match(r"\S+Z\tundefined\tERROR\tUncaught Exception \t\{", played.frames[0].text)
    assert played.exit is not None
    assert played.exit.code == 129


def test_the_console_writes_as_lambda_does(tmp_path: Path):
    source = """console.log('loading');
    exports.handler = async () => {
      console.log('a %s', 'b', { c: 1 }); console.debug('d'); console.warn('w'); console.error('e\\nf'); console.trace('t');
      process.stdout.write('raw\\n');
    };"""
    played = run(tmp_path, source)
    assert played.answers == [None]
    assert played.output == "raw\n"
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    wanted = [
        (0xA55A000F, rf"{stamp}\tundefined\tINFO\tloading\n"),
        (0xA55A000F, rf"{stamp}\trequest-0\tINFO\ta b {{ c: 1 }}\n"),
        (0xA55A000B, rf"{stamp}\trequest-0\tDEBUG\td\n"),
        (0xA55A0013, rf"{stamp}\trequest-0\tWARN\tw\n"),
        (0xA55A0017, rf"{stamp}\trequest-0\tERROR\te\nf\n"),
        (0xA55A0007, rf"{stamp}\trequest-0\tTRACE\tt\n"),
    ]
    assert [frame.kind for frame in played.frames] == [kind for kind, _ in wanted]
    for frame, (_, pattern) in zip(played.frames, wanted, strict=True):
        assert re.fullmatch(pattern, frame.text)


def test_the_console_writes_json_from_a_level_on(tmp_path: Path):
    source = """exports.handler = async () => {
      console.debug('no'); console.info({ a: 1 }); console.warn('x %d', 5); console.error('bad', new TypeError('t'));
      const circle = {}; circle.self = circle; console.log(circle);
    };"""
    env = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    played = run(tmp_path, source, env=env)
    info, warn, error, circle = (json.loads(frame.text) for frame in played.frames)
    assert (info["level"], info["requestId"], info["message"]) == ("INFO", "request-0", {"a": 1})
    assert (warn["level"], warn["message"]) == ("WARN", "x 5")
    assert (error["errorType"], error["errorMessage"]) == ("TypeError", "t")
    assert error["stackTrace"][0] == "TypeError: t"
    assert "[Circular *1]" in circle["message"]
    assert played.frames[0].kind == 0xA55A000E


@pytest.mark.parametrize("runtime", [CLASSIC, MODERN])
def test_a_streamed_answer_comes_in_chunks(tmp_path: Path, runtime: str):
    source = """exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
      stream.setContentType('text/plain');
      stream.write('one ');
      await new Promise((r) => setTimeout(r, 5));
      stream.write(Buffer.from('two '));
      stream.write({ three: 3 });
      stream.end(` ${context.awsRequestId}`);
    });"""
    played = run(tmp_path, source, {}, {}, runtime=runtime)
    for index, said in enumerate(played.said):
        assert said.body == f'one two {{"three":3}} request-{index}'.encode()
        assert said.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert said.headers["content-type"] == "text/plain"
        assert said.headers["transfer-encoding"] == "chunked"
        assert said.trailers == {}


def test_a_streamed_http_answer_begins_with_status_and_headers(tmp_path: Path):
    source = """const { pipeline } = require('stream/promises'); const { Readable } = require('stream');
    exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      const http = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });
      if (event.body) await pipeline(Readable.from([Buffer.from('body')]), http);
      else http.end();
    });"""
    played = run(tmp_path, source, {"body": True}, {"body": False})
    prelude = b'{"statusCode":201,"headers":{"a":"b"}}' + b"\0" * 8
    assert [said.body for said in played.said] == [prelude + b"body", prelude]
    assert played.said[0].headers["content-type"] == "application/vnd.awslambda.http-integration-response"


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("async (e, s) => { s.write('x'); throw new TypeError('mid'); }", "TypeError", "mid"),
        ("async (e, s) => { throw new Error('before'); }", "Error", "before"),
        ("async (e, s) => { s.write('x'); }", "string", "Response stream is not finished."),
        ("(e, s) => { s.write('x'); }", "string", "Streaming does not support non-async handlers."),
    ],
)
def test_an_error_amid_a_stream_is_in_its_trailers(tmp_path: Path, source: str, kind: str, words: str):
    import base64

    (said,) = run(tmp_path, f"exports.handler = awslambda.streamifyResponse({source});").said
    assert said.trailers["lambda-runtime-function-error-type"] == kind
    body = json.loads(base64.b64decode(said.trailers["lambda-runtime-function-error-body"]))
    assert body["errorMessage"] == words


def test_large_events_and_answers_pass(tmp_path: Path):
    event = {"text": "ö" * 1_000_000}
    assert run(tmp_path, "exports.handler = async (event) => event;", event).answers == [event]


def test_what_cannot_be_json_is_an_error(tmp_path: Path):
    played = run(tmp_path, "exports.handler = async () => { const a = {}; a.a = a; return a; };")
    assert [error["errorMessage"] for error in played.errors] == ["Unable to stringify response body"]


def test_the_sdk_of_a_folder_is_seen(tmp_path: Path):
    modules = write(tmp_path / "sdk", {"@aws-sdk/client-s3/index.js": "module.exports = { S3: 's3' };"})
    host = HostRuntimes(tmp_path / "cache", node_modules=modules).prepare(CLASSIC, "index.handler", tmp_path)
    assert (str(modules), "/var/runtime/node_modules") in [
        (str(bind.source), bind.target) for bind in host.binds
    ]
    code = write(
        tmp_path / "code", {"index.js": "exports.handler = async () => require('@aws-sdk/client-s3').S3;"}
    )
    assert play(host, code, {}).answers == ["s3"]


def test_the_memory_of_the_function_bounds_the_heap(tmp_path: Path):
    source = "exports.handler = async () => require('v8').getHeapStatistics().heap_size_limit / 1048576;"
    (limit,) = run(tmp_path, source).answers
    assert 200 < limit < 300


def test_an_exec_wrapper_starts_the_runtime(tmp_path: Path):
    write(tmp_path, {"wrap": '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n'})
    (tmp_path / "wrap").chmod(0o755)
    played = run(
        tmp_path,
        "exports.handler = async () => process.env.WRAPPED;",
        env={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"},
    )
    assert played.answers == ["yes"]


def test_the_environment_and_the_warning(tmp_path: Path):
    host = host_of("nodejs22.x", tmp_path)
    assert host.env["NODE_PATH"] == (
        "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
    )
    assert host.env["AWS_EXECUTION_ENV"] == "AWS_Lambda_nodejs22.x"
    assert host.version == "nodejs:22.v18"


def test_a_machine_without_node_says_what_to_install(tmp_path: Path):
    bare = HostRuntimes(tmp_path, places=Places(path=(), home=tmp_path, system=()))
    with pytest.raises(RuntimeMissing, match=r"nodejs20\.x cannot run .* Install Node\.js 20"):
        bare.prepare(CLASSIC, "index.handler", tmp_path)


def test_the_nearest_node_is_taken_and_named(tmp_path: Path):
    for version in ("v18.1.0", "v23.4.5"):
        folder = tmp_path / f".nvm/versions/node/{version}/bin"
        folder.mkdir(parents=True)
        (folder / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (folder / "node").chmod(0o755)
    few = HostRuntimes(tmp_path / "cache", places=Places(path=(), home=tmp_path, system=()))
    host = few.prepare("nodejs22.x", "index.handler", tmp_path)
    assert host.warning == "nodejs22.x is not installed on this machine; running on Node.js 23.4.5"
    prefix = tmp_path / ".nvm/versions/node/v23.4.5"
    assert (str(prefix), str(prefix)) in [(str(bind.source), bind.target) for bind in host.binds]
