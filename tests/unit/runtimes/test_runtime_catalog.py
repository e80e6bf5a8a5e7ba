"""The table of runtimes, and what this machine says of each."""

import re
from datetime import date
from pathlib import Path

import botocore.session
import pytest
from runtime_lab import machine

from cumulo.sandbox.contract import RuntimeMissing
from cumulo.sandbox.runtimes import HostRuntimes, catalog
from cumulo.sandbox.runtimes.host import Fit
from cumulo.sandbox.runtimes.places import Answers, Places, nearest


def test_every_runtime_of_the_model_is_in_the_catalog():
    model = botocore.session.get_session().get_service_model("lambda")
    names = set(model.shape_for("Runtime").enum)
    assert names - {runtime.name for runtime in catalog.RUNTIMES} == set()


def test_names_labels_and_arns_tell_runtimes_apart():
    arns = [runtime.version_arn for runtime in catalog.RUNTIMES]
    assert len(set(arns)) == len(catalog.RUNTIMES) == len({runtime.name for runtime in catalog.RUNTIMES})
    assert all(re.fullmatch(r"arn:aws:lambda:\{region\}::runtime:[0-9a-f]{64}", arn) for arn in arns)
    python = catalog.find("python3.12")
    assert python is not None
    assert python.label == "python:3.12.v18"


@pytest.mark.parametrize(
    ("name", "retired"),
    [
        ("python3.7", True),
        ("nodejs14.x", True),
        ("go1.x", True),
        ("python3.12", False),
        ("provided.al2", False),
        ("x", False),
    ],
)
def test_retired_runtimes_are_those_that_aws_refuses(name: str, retired: bool):
    assert catalog.is_retired(name) is retired


def test_the_sentence_of_refusal_is_that_of_aws():
    assert catalog.retired_sentence("python3.7") == (
        "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions."
    )


def test_support_ends_on_a_day():
    runtime = catalog.find("python3.9")
    assert runtime is not None
    assert not runtime.is_deprecated(date(2025, 12, 14))
    assert runtime.is_deprecated(date(2025, 12, 15))


def test_the_nearest_is_the_closest_and_of_two_the_newer():
    assert nearest(12, [8, 11, 13, 14]) == [13, 11, 14, 8]
    assert nearest(21, [17, 25, 11], upwards=True) == [25, 17, 11]
    assert nearest(21, []) == []


@pytest.mark.parametrize("name", ["ruby3.4", "dotnet8", "go1.x", "python2.7", "custom", "cobol85"])
def test_what_cannot_run_says_so(tmp_path: Path, name: str):
    with pytest.raises(
        RuntimeMissing, match=rf"^{re.escape(name)} (cannot run on this machine|is not a runtime)"
    ):
        machine().prepare(name, "x", tmp_path)


def test_the_report_has_a_line_for_every_runtime_that_can_be_created():
    findings = {finding.runtime: finding for finding in machine().report()}
    assert set(findings) == {runtime.name for runtime in catalog.RUNTIMES if not runtime.retired}
    assert findings["provided.al2023"].fit is Fit.EXACT
    assert findings["ruby3.4"].fit is Fit.MISSING
    for finding in findings.values():
        assert bool(finding.runs_on) is (finding.fit is not Fit.MISSING)
        assert bool(finding.remedy) is (finding.fit is not Fit.EXACT)


def test_a_bare_machine_still_runs_python_on_the_servers_own(tmp_path: Path):
    bare = HostRuntimes(tmp_path, places=Places(path=(), home=tmp_path, system=(), java_system=()))
    fits = {finding.runtime: finding.fit for finding in bare.report()}
    assert fits["python3.14"] in (Fit.NEAREST, Fit.EXACT)
    assert (fits["nodejs20.x"], fits["java21"]) == (Fit.MISSING, Fit.MISSING)


def test_a_program_is_asked_once_until_it_changes(tmp_path: Path):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\necho answer $1\n")
    program.chmod(0o755)
    file = tmp_path / "cache" / "answers.json"
    assert [Answers(file).ask(program, "who") for _ in range(3)] == ["answer who"] * 3
    assert (tmp_path / "log").read_text().count("asked") == 1
    program.write_text("#!/bin/sh\necho other\n")
    assert Answers(file).ask(program, "who") == "other"


def test_a_broken_cache_of_answers_is_asked_again(tmp_path: Path):
    (tmp_path / "answers.json").write_text("{")
    assert Answers(tmp_path / "answers.json").ask(Path("/bin/echo"), "hello") == "hello"
