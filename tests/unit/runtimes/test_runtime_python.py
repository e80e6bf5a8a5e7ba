"""Python functions, really run."""

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest
from runtime_lab import Played, machine, play, write

from cumulo.sandbox.contract import RuntimeHost
from cumulo.sandbox.runtimes import HostRuntimes
from cumulo.sandbox.runtimes.places import Answers, Places
from cumulo.sandbox.runtimes.pythons import Pythons

OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> RuntimeHost:
    return machine().prepare(OWN, "index.handler", tmp_path_factory.mktemp("code"))


def run(host: RuntimeHost, code: Path, source: str, *events: object, **more: object) -> Played:
    write(code, {"index.py": source})
    return play(host, code, *(events or ({},)), **more)  # type: ignore[arg-type]


def test_a_function_answers_and_keeps_its_process(host: RuntimeHost, tmp_path: Path):
    source = (
        "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return {'n': n, 'got': event}\n"
    )
    played = run(host, tmp_path, source, {"a": 1}, {"b": 2})
    assert played.answers == [{"n": 1, "got": {"a": 1}}, {"n": 2, "got": {"b": 2}}]


def test_the_context_and_the_trace_are_those_of_the_call(host: RuntimeHost, tmp_path: Path):
    source = (
        "import os\ndef handler(event, context):\n"
        "    return [context.aws_request_id, context.function_name, context.memory_limit_in_mb,"
        " 0 < context.get_remaining_time_in_millis() <= 3000, os.environ['_X_AMZN_TRACE_ID']]\n"
    )
    assert run(host, tmp_path, source).answers == [["request-0", "f", "256", True, "Root=1-trace-0"]]


def test_an_exception_is_reported_as_aws_does(host: RuntimeHost, tmp_path: Path):
    played = run(host, tmp_path, "def handler(event, context):\n    raise ValueError('no')\n")
    (error,) = played.errors
    assert (error["errorType"], error["errorMessage"], error["requestId"]) == (
        "ValueError",
        "no",
        "request-0",
    )
    assert "index.py" in error["stackTrace"][0]
    assert len(error["stackTrace"]) == 1
    assert any("[ERROR] ValueError: no" in frame.text for frame in played.frames)


@pytest.mark.parametrize(
    ("source", "handler", "kind", "words"),
    [
        (
            "import nothing_here\n",
            "index.handler",
            "Runtime.ImportModuleError",
            "No module named 'nothing_here'",
        ),
        (
            "x = 1\n",
            "index.handler",
            "Runtime.HandlerNotFound",
            "Handler 'handler' missing on module 'index'",
        ),
        ("def (\n", "index.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'index'"),
        ("x = 1\n", "index", "Runtime.MalformedHandlerName", "Bad handler 'index'"),
        ("x = 1\n", "other.handler", "Runtime.ImportModuleError", "Unable to import module 'other'"),
    ],
)
def test_what_cannot_be_loaded_is_an_init_error(
    host: RuntimeHost, tmp_path: Path, source: str, handler: str, kind: str, words: str
):
    played = run(host, tmp_path, source, handler=handler, until_exit=True)
    (said,) = played.said
    assert said.path == "/2018-06-01/runtime/init/error"
    assert said.headers["lambda-runtime-function-error-type"] == kind
    assert words in said.value["errorMessage"]
    assert played.exit is not None
    assert played.exit.code == 1


def test_boto3_is_there_and_the_rest_of_the_server_is_not(host: RuntimeHost, tmp_path: Path):
    source = (
        "import importlib.util as u, sys\ndef handler(event, context):\n"
        "    import boto3, botocore\n"
        "    boto3.client('s3', region_name='us-east-1')\n"
        "    names = ['cumulo', 'moto', 'msgspec', 'uvloop', 'pip', 'setuptools', 'click', 'cryptography']\n"
        "    return [boto3.__version__ >= '1', [n for n in names if u.find_spec(n)]]\n"
    )
    assert run(host, tmp_path, source).answers == [[True, []]]


def test_a_package_of_the_function_wins_over_that_of_the_runtime(host: RuntimeHost, tmp_path: Path):
    write(tmp_path, {"boto3/__init__.py": "__version__ = 'mine'\n", "simplejson_extra.py": ""})
    source = "import boto3\ndef handler(event, context):\n    return boto3.__version__\n"
    assert run(host, tmp_path, source).answers == ["mine"]


def test_sys_path_is_in_the_order_of_aws(host: RuntimeHost, tmp_path: Path):
    source = "import sys, os\ndef handler(event, context):\n    return [sys.path, os.environ['PYTHONPATH']]\n"
    ((path, python_path),) = run(host, tmp_path, source).answers
    runtime = str(host.binds[0].source)  # a plain process sees the host's paths
    packages = f"/opt/python/lib/{OWN}/site-packages"
    assert path[:4] == [str(tmp_path), packages, "/opt/python", runtime]
    assert path.count(runtime) == 1
    assert python_path == runtime
    assert not any("site-packages" in folder for folder in path if folder != packages)


def test_a_python_path_of_the_function_is_kept(host: RuntimeHost, tmp_path: Path):
    write(
        tmp_path,
        {"lib/helper.py": "value = 7\n", "lib/sitecustomize.py": "import os; os.environ['CUSTOM'] = 'yes'\n"},
    )
    source = (
        "import helper, os\ndef handler(event, context):\n    return [helper.value, os.environ['CUSTOM']]\n"
    )
    played = run(host, tmp_path, source, env={"PYTHONPATH": "/var/task/lib"})
    assert played.answers == [[7, "yes"]]


def test_what_the_site_module_gives_is_there(host: RuntimeHost, tmp_path: Path):
    write(tmp_path, {"vendor.pth": "vendored\n", "vendored/deep.py": "value = 3\n"})
    source = (
        "import deep\ndef handler(event, context):\n    return [deep.value, callable(exit), callable(quit)]\n"
    )
    assert run(host, tmp_path, source).answers == [[3, True, True]]


def test_a_nested_handler_and_logging_through_the_pipe(host: RuntimeHost, tmp_path: Path):
    write(
        tmp_path,
        {
            "app/__init__.py": "",
            "app/main.py": "import logging\ndef go(e, c):\n    logging.warning('careful')\n    print('plain')\n    return 1\n",
        },
    )
    played = play(host, tmp_path, {}, handler="app/main.go")
    assert played.answers == [1]
    assert played.output == "plain\n"
    (frame,) = played.frames
    assert frame.text.startswith("[WARNING]\t")
    assert frame.text.endswith("\trequest-0\tcareful\n")


def test_logs_in_json_carry_the_request(host: RuntimeHost, tmp_path: Path):
    source = "import logging\ndef handler(event, context):\n    logging.getLogger().info('x')\n    return 1\n"
    played = run(
        host, tmp_path, source, env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
    )
    (frame,) = played.frames
    assert '"level": "INFO", "message": "x"' in frame.text
    assert '"requestId": "request-0"' in frame.text


def test_an_exec_wrapper_starts_the_runtime(host: RuntimeHost, tmp_path: Path):
    write(tmp_path, {"wrap": '#!/bin/sh\nexport WRAPPED_WITH=$#\nexec "$@"\n'})
    (tmp_path / "wrap").chmod(0o755)
    source = "import os\ndef handler(event, context):\n    return [os.environ['WRAPPED_WITH'], '_CUMULO_WRAPPED' in os.environ]\n"
    played = run(host, tmp_path, source, env={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"})
    assert played.answers == [["3", False]]


def test_a_child_process_finds_the_same_interpreter(host: RuntimeHost, tmp_path: Path):
    source = (
        "import subprocess, sys\ndef handler(event, context):\n"
        "    code = 'import sys; print(sys.version)'\n"
        "    out = subprocess.run(['python3', '-c', code], capture_output=True, text=True).stdout.strip()\n"
        "    return out == sys.version\n"
    )
    assert run(host, tmp_path, source).answers == [True]


def test_the_environment_is_that_of_aws(host: RuntimeHost):
    env = host.env
    assert env["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{OWN}"
    assert env["PYTHONPATH"] == env["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert (env["TZ"], env["LANG"]) == (":UTC", "en_US.UTF-8")
    assert env["PATH"].endswith("/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin")
    assert env["LD_LIBRARY_PATH"].endswith(":/var/task:/var/task/lib:/opt/lib")
    assert host.warning == ""


def test_every_user_may_read_the_runtime(host: RuntimeHost):
    home = host.binds[0].source
    assert home.stat().st_mode & 0o777 == 0o755
    closed = [
        path for path in home.rglob("*") if not path.stat().st_mode & (0o001 if path.is_dir() else 0o004)
    ]
    assert closed == []


def test_the_runtime_is_made_once_and_then_found(host: RuntimeHost, tmp_path: Path):
    runtimes = HostRuntimes(tmp_path / "cache")
    first = runtimes.prepare(OWN, "index.handler", tmp_path)
    again = HostRuntimes(tmp_path / "cache").prepare(OWN, "index.handler", tmp_path)
    assert first == again
    names = sorted(path.name for path in (tmp_path / "cache" / "runtimes").iterdir())
    assert [name for name in names if name.startswith(".new-")] == []


def test_the_nearest_version_stands_in_with_a_warning(tmp_path: Path):
    nowhere = Places(path=(), home=tmp_path, system=())
    host = HostRuntimes(tmp_path, places=nowhere).prepare("python3.14", "index.handler", tmp_path)
    assert host.warning == f"python3.14 is not installed on this machine; running on {OWN}"
    assert host.env["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.14"
    assert host.version == "python:3.14.v18"
    played = run(host, tmp_path / "code", "def handler(event, context):\n    return event\n", 5)
    assert played.answers == [5]


def test_a_shim_that_leads_nowhere_is_passed_over(tmp_path: Path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    liar = tmp_path / "python3.13"
    liar.write_text("#!/bin/sh\nprintf 'cpython\\n3.9\\n/usr/bin/python3.9\\n/usr\\n'\n")
    liar.chmod(0o755)
    places = Places(path=(tmp_path,), home=tmp_path, system=())
    found = [python.version for python in Pythons(places, Answers(tmp_path / "answers.json")).for_minor(12)]
    assert found == [OWN.removeprefix("python")]


def test_another_version_has_the_same_packages(tmp_path: Path):
    answers = Answers(tmp_path / "answers.json")
    pythons = Pythons(Places.of(os.environ), answers)
    other = next(
        (one for one in pythons.for_minor(12) if f"python{one.version}" != OWN and one.minor >= 10), None
    )
    if other is None:
        pytest.skip("there is no other Python on this machine")
    host = machine().prepare(f"python{other.version}", "index.handler", tmp_path)
    if "could not be installed" in host.warning:
        pytest.skip(host.warning)
    source = (
        "import sys, simplejson, boto3\ndef handler(event, context):\n"
        "    return ['%d.%d' % sys.version_info[:2], boto3.__version__, [p for p in sys.path if 'site-packages' in p]]\n"
    )
    packages = f"/opt/python/lib/python{other.version}/site-packages"
    assert run(host, tmp_path, source).answers == [[other.version, metadata.version("boto3"), [packages]]]
    assert host.warning == ""


def test_packages_that_may_not_be_fetched_leave_the_servers_own(tmp_path: Path):
    host = HostRuntimes(tmp_path, may_install=False).prepare("python3.13", "index.handler", tmp_path)
    if OWN == "python3.13":
        assert host.warning == ""
    else:
        assert host.warning.endswith(f"; running on {OWN}")
