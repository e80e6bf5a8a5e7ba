"""Java functions, compiled and really run."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from runtime_lab import Played, machine, play, write

from cumulo.sandbox.contract import RuntimeMissing
from cumulo.sandbox.runtimes import HostRuntimes
from cumulo.sandbox.runtimes.places import Places

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="there is no JDK on this machine")

CORE = {
    "Context": """String getAwsRequestId(); String getFunctionName(); String getFunctionVersion();
      String getInvokedFunctionArn(); String getLogGroupName(); int getMemoryLimitInMB();
      int getRemainingTimeInMillis(); LambdaLogger getLogger(); CognitoIdentity getIdentity();
      ClientContext getClientContext(); default String getTenantId() { return "default"; }""",
    "LambdaLogger": "void log(String message); void log(byte[] message);",
    "CognitoIdentity": "String getIdentityId(); String getIdentityPoolId();",
    "ClientContext": "java.util.Map<String, String> getCustom(); Client getClient();",
    "Client": "String getAppTitle();",
    "RequestHandler<I, O>": "O handleRequest(I input, Context context);",
    "RequestStreamHandler": """void handleRequest(java.io.InputStream in, java.io.OutputStream out, Context context)
      throws java.io.IOException;""",
}
HELLO = """package example;
import com.amazonaws.services.lambda.runtime.*;
import java.util.*;
public class Hello implements RequestHandler<Hello.Order, Hello.Receipt> {
  public enum Size { SMALL, LARGE }
  public static class Item {
    private String name; private int count; private Size size; public double price;
    public void setName(String n) { name = n; } public String getName() { return name; }
    public void setCount(int c) { count = c; } public int getCount() { return count; }
    public void setSize(Size s) { size = s; } public Size getSize() { return size; }
  }
  public static class Order {
    private List<Item> items; private Map<String, Long> totals; private boolean gift; private String[] tags;
    public void setItems(List<Item> i) { items = i; } public void setTotals(Map<String, Long> t) { totals = t; }
    public void setGift(boolean g) { gift = g; } public void setTags(String[] t) { tags = t; }
  }
  public static class Receipt {
    final Order order;
    Receipt(Order order) { this.order = order; }
    public List<Item> getItems() { return order.items; }
    public long getTotal() { long sum = 0; for (Long t : order.totals.values()) sum += t; return sum; }
    public boolean isGift() { return order.gift; }
    public String[] getTags() { return order.tags; }
    public Object getNothing() { return null; }
  }
  public Receipt handleRequest(Order order, Context context) {
    context.getLogger().log("request " + context.getAwsRequestId() + "\\n");
    return new Receipt(order);
  }
  public String text(String in, Context c) { return c.getFunctionName() + " " + in; }
  public static int twice(int n) { return n * 2; }
  public Object any(Object o) { return o; }
  public record Point(int x, List<Double> more, UUID id) {}
  public List<Point> points(Point p) { return List.of(p, new Point(p.x() + 1, p.more(), p.id())); }
  public List<Object> context(Context c) {
    return Arrays.asList(c.getMemoryLimitInMB(), c.getRemainingTimeInMillis() > 0, c.getInvokedFunctionArn(), c.getTenantId(),
      c.getIdentity() == null ? null : c.getIdentity().getIdentityId(),
      c.getClientContext() == null ? null : c.getClientContext().getCustom(),
      c.getClientContext() == null ? null : c.getClientContext().getClient().getAppTitle(),
      System.getProperty("com.amazonaws.xray.traceHeader"), java.nio.charset.Charset.defaultCharset().name());
  }
  public String fails(String in) { throw new IllegalStateException("no " + in, new RuntimeException("deep")); }
  public String nothing() { return null; }
  private String hidden(String in) { return in; }
}
"""
STREAM = """package example;
import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
public class Stream implements RequestStreamHandler {
  public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
    out.write('['); for (int c = in.read(); c >= 0; c = in.read()) out.write(c); out.write(']');
  }
}
"""
BROKEN = 'package example; public class Broken { static { if (true) throw new RuntimeException("early"); } public String go() { return null; } }'
EVENT = {
    "items": [{"name": "nöt", "count": 3, "size": "LARGE", "price": 1.5, "unknown": {"a": 1}}],
    "totals": {"a": 4, "b": 5000000000},
    "gift": True,
    "tags": ["x", "y"],
}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package as Gradle makes it: classes at its root, and AWS's interfaces as a jar in lib."""
    sources = tmp_path_factory.mktemp("sources")
    files = {
        f"com/amazonaws/services/lambda/runtime/{name.partition('<')[0]}.java": (
            f"package com.amazonaws.services.lambda.runtime; public interface {name} {{ {body} }}"
        )
        for name, body in CORE.items()
    }
    write(sources, {**files, "Hello.java": HELLO, "Stream.java": STREAM, "Broken.java": BROKEN})
    task = tmp_path_factory.mktemp("task")
    paths = [str(path) for path in sources.rglob("*.java")]
    subprocess.run(["javac", "--release", "17", "-encoding", "UTF-8", "-d", str(task), *paths], check=True)
    (task / "lib").mkdir()
    with zipfile.ZipFile(task / "lib" / "aws-lambda-java-core.jar", "w") as jar:
        for path in sorted((task / "com").rglob("*.class")):
            jar.write(path, str(path.relative_to(task)))
    shutil.rmtree(task / "com")
    return task


def run(code: Path, handler: str, *events: object, **more: object) -> Played:
    return play(machine().prepare("java17", handler, code), code, *events, handler=handler, **more)  # type: ignore[arg-type]


def test_a_request_handler_takes_and_gives_beans(code: Path):
    played = run(code, "example.Hello", EVENT, EVENT)
    item = {"name": "nöt", "count": 3, "size": "LARGE", "price": 1.5}
    receipt = {"items": [item], "total": 5000000004, "gift": True, "tags": ["x", "y"], "nothing": None}
    assert played.answers == [receipt, receipt]
    assert played.output == "request request-0\nrequest request-1\n"


def test_a_stream_handler_gets_the_bytes(code: Path):
    played = run(code, "example.Stream", b'{"a" : 1}')
    assert [said.body for said in played.said] == [b'[{"a" : 1}]']


@pytest.mark.parametrize(
    ("method", "event", "answer"),
    [
        ("text", 'hi \u2713 \n "q"', 'f hi \u2713 \n "q"'),
        ("twice", 21, 42),
        ("any", {"a": [1, 2.5, None, True, {"b": "c"}, 12345678901234567890], "": {}}, None),
        ("any", [], None),
        ("any", "text", None),
        ("nothing", {}, ...),
    ],
)  # fmt: skip
def test_plain_methods_take_plain_values(code: Path, method: str, event: object, answer: object):
    expected = {None: event, ...: None}.get(answer, answer) if not isinstance(answer, int | str) else answer
    assert run(code, f"example.Hello::{method}", event).answers == [expected]


def test_records_are_taken_and_given(code: Path):
    point = {"x": 1, "more": [0.5], "id": None}
    assert run(code, "example.Hello::points", point).answers == [[point, {**point, "x": 2}]]


def test_the_context_is_the_functions_own_interface(code: Path):
    headers = {
        "Lambda-Runtime-Client-Context": '{"custom": {"k": "v"}, "client": {"app_title": "t"}}',
        "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}',
    }
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    full = run(code, "example.Hello::context", {}, headers=headers)
    assert full.answers == [[256, True, arn, None, "id", {"k": "v"}, "t", "Root=1-trace-0", "UTF-8"]]
    bare = run(code, "example.Hello::context", {})
    assert bare.answers == [[256, True, arn, None, None, None, None, "Root=1-trace-0", "UTF-8"]]


def test_an_exception_is_reported_as_aws_does(code: Path):
    played = run(code, "example.Hello::fails", "way", "again")
    error = played.errors[0]
    assert (error["errorMessage"], error["errorType"]) == ("no way", "java.lang.IllegalStateException")
    assert len(error["stackTrace"]) == 1
    assert error["stackTrace"][0].startswith("example.Hello.fails(Hello.java:")
    assert error["cause"]["errorMessage"] == "deep"
    assert played.said[0].headers["lambda-runtime-function-error-type"] == "java.lang.IllegalStateException"
    assert "no way: java.lang.IllegalStateException" in played.output
    assert len(played.errors) == 2


def test_an_event_of_the_wrong_shape_is_an_error(code: Path):
    (error,) = run(code, "example.Hello::text", {"not": "text"}).errors
    assert error["errorMessage"].startswith("An error occurred during JSON parsing")


@pytest.mark.parametrize(
    ("handler", "kind", "words"),
    [
        ("example.Nobody", "java.lang.ClassNotFoundException", "Class not found: example.Nobody"),
        (
            "example.Hello::hidden",
            "java.lang.NoSuchMethodException",
            "No public method named hidden with appropriate",
        ),
        ("example.Broken", "java.lang.ExceptionInInitializerError", None),
        (
            "java.lang.String",
            "java.lang.ClassCastException",
            "does not implement an appropriate handler interface",
        ),
    ],
)
def test_what_cannot_be_loaded_is_an_init_error(code: Path, handler: str, kind: str, words: str | None):
    played = run(code, handler, {}, until_exit=True)
    (said,) = played.said
    assert said.path == "/2018-06-01/runtime/init/error"
    assert said.value["errorType"] == said.headers["lambda-runtime-function-error-type"] == kind
    assert words is None or words in said.value["errorMessage"]
    assert played.exit is not None
    assert played.exit.code == 1


def test_the_heap_is_bounded_by_the_memory(code: Path):
    host = machine().prepare("java17", "example.Hello", code)
    assert play(
        host, code, EVENT, handler="example.Hello", env={"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"}
    ).answers


def test_the_binds_of_java_cover_what_it_links_to(tmp_path: Path):
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch()
    (home / "release").write_text('JAVA_VERSION="1.8.0_402"\n')
    settings = tmp_path / "etc"
    settings.mkdir()
    (home / "conf").symlink_to(settings)
    system = Places(path=(), home=tmp_path, system=(), java_system=(tmp_path, Path("/usr/lib/jvm")))
    host = HostRuntimes(tmp_path / "cache", places=system).prepare("java8.al2", "x", tmp_path)
    assert {str(home), str(settings), "/var/runtime"} <= {bind.target for bind in host.binds}
    assert host.warning == ""


def test_a_newer_java_stands_in_rather_than_an_older(tmp_path: Path):
    for major in ("11.0.2", "25.0.1"):
        home = tmp_path / major
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "java").touch()
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{major}"\n')
    places = Places(path=(), home=tmp_path, system=(), java_system=(tmp_path,))
    runtimes = HostRuntimes(tmp_path / "cache", places=places)
    findings = {finding.runtime: finding.runs_on for finding in runtimes.report()}
    assert findings["java17"].startswith("Java 25 at")
    with pytest.raises(RuntimeMissing, match="no compiler"):
        runtimes.prepare("java17", "x", tmp_path)
