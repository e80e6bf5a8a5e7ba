"""`cumulo doctor`: findings become lines, lines become an exit code."""

import json
from pathlib import Path

from click.testing import CliRunner

from cumulo.cli import doctor, doctor_engines
from cumulo.cli.doctor import Grade, Line
from cumulo.cli.main import cli
from cumulo.engines.engine import Finding as EngineFinding
from cumulo.engines.engine import Probe
from cumulo.sandbox.contract import Isolation
from cumulo.sandbox.probe import Finding, Report
from cumulo.sandbox.runtimes.host import Finding as RuntimeFinding
from cumulo.sandbox.runtimes.host import Fit

MOUNTS = """/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/x /home/me nfs4 rw 0 0
"""


def test_what_is_missing_of_a_sandbox_is_a_warning_with_its_remedy():
    found = (
        Finding("namespaces", True, "all"),
        Finding("seccomp", False, "no libseccomp", "apt-get install x"),
    )
    lines = doctor.sandbox_lines(Report(Isolation.PARTIAL, True, found))
    assert [(line.name, line.grade, line.fix) for line in lines] == [
        ("isolation", Grade.WARN, ""),
        ("namespaces", Grade.OK, ""),
        ("seccomp", Grade.WARN, "apt-get install x"),
    ]


def test_runtimes_are_graded_by_how_well_they_fit():
    lines = doctor.runtime_lines(
        [
            RuntimeFinding("python3.11", Fit.EXACT, "Python 3.11"),
            RuntimeFinding("python3.9", Fit.NEAREST, "Python 3.11", "install 3.9"),
            RuntimeFinding("java21", Fit.MISSING, "", "install a JDK"),
            RuntimeFinding("ruby3.4", Fit.MISSING, "", "functions in this language are not supported yet."),
        ]
    )
    assert [(line.name, line.grade, line.fix) for line in lines] == [
        ("python3.11", Grade.OK, ""),
        ("python3.9", Grade.WARN, "install 3.9"),
        ("java21", Grade.MISSING, "install a JDK"),
        ("ruby3.4", Grade.MISSING, ""),
    ]


def test_functions_cannot_run_without_any_runtime():
    assert not doctor.can_run_functions([Line("runtime", "java21", Grade.MISSING, "")])
    assert not doctor.can_run_functions([Line("tools", "aws", Grade.OK, "")])
    assert doctor.can_run_functions([Line("runtime", "java21", Grade.WARN, "")])


def test_the_file_system_is_that_of_the_longest_mount_point():
    assert doctor.file_system_of(Path("/srv/data"), MOUNTS) == "ext4"
    assert doctor.file_system_of(Path("/tmp/data"), MOUNTS) == "tmpfs"
    assert doctor.file_system_of(Path("/tmpfile"), MOUNTS) == "ext4"
    assert doctor.file_system_of(Path("/home/me"), MOUNTS) == "nfs4"


def test_a_data_folder_that_does_not_last_or_fills_up_is_a_warning():
    grades = [
        doctor.folder_line(Path("/d"), kind, free).grade
        for kind, free in (
            ("ext4", 10 * doctor.GIB),
            ("tmpfs", 10 * doctor.GIB),
            ("nfs4", 10 * doctor.GIB),
            ("ext4", 5),
        )
    ]
    assert grades == [Grade.OK, Grade.WARN, Grade.WARN, Grade.WARN]


def test_this_machine_is_examined_for_people_and_for_machines(tmp_path):
    told = CliRunner().invoke(cli, ["doctor", "--data", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert told.output.endswith("Functions can run here.\n")
    assert "containers" in told.output
    assert list(tmp_path.iterdir()) == [], "nothing is left of the container that was tried"
    shown = json.loads(CliRunner().invoke(cli, ["doctor", "--json", "--data", str(tmp_path)]).output)
    assert shown["functions"] is True
    kinds = {found["kind"] for found in shown["findings"]}
    assert kinds == {"sandbox", "runtime", "engine", "companions", "tools", "data"}
    assert all(found["grade"] in {"ok", "warn", "missing"} and found["detail"] for found in shown["findings"])
    assert any(str(tmp_path) in found["detail"] for found in shown["findings"] if found["kind"] == "data")


def _probe(*, usable):
    return Probe(
        usable=usable,
        findings=(EngineFinding("conmon", ok=usable, detail="d", fix="apt-get install conmon"),),
    )


def test_the_engine_that_would_be_taken_is_named_with_what_would_make_it_better():
    there = EngineFinding("docker", ok=True, detail="containers run in the Docker daemon")
    gone = EngineFinding("docker", ok=False, detail="no daemon", fix="start it")
    local = doctor_engines.chosen(_probe(usable=True), gone)
    assert [(line.name, line.grade) for line in local] == [("containers", Grade.OK), ("conmon", Grade.OK)]
    docker = doctor_engines.chosen(_probe(usable=False), there)
    assert docker[0].detail.startswith("docker:")
    assert (docker[1].grade, docker[1].fix) == (Grade.WARN, "apt-get install conmon")
    none = doctor_engines.chosen(_probe(usable=False), gone)
    assert none[0].grade is Grade.MISSING
    assert none[-1].fix == "start it"
    assert doctor_engines.names_line(resolves=False).grade is Grade.WARN


def test_old_aws_clis_do_not_know_where_to_go():
    known = {"1.46.3": True, "1.29.0": True, "1.28.9": False, "2.13.0": True, "2.9.19": False, "odd": True}
    assert {version: doctor.knows_endpoint_variable(version) for version in known} == known
