"""`cumulo ca`: where the authority's certificate is, and how to trust it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cumulo.base.clock import SystemClock
from cumulo.cli.main import cli
from cumulo.net.authority import Authority


def ca(data: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["ca", "--data", str(data), *more])


def test_the_authority_is_made_and_then_stays(tmp_path: Path):
    first = ca(tmp_path, "--pem")
    assert first.exit_code == 0
    assert first.output.startswith("-----BEGIN CERTIFICATE-----\n")
    assert ca(tmp_path, "--pem").output == first.output
    assert Authority(tmp_path / "ca", SystemClock()).certificate() == first.output


def test_it_says_how_programs_and_machines_trust_it(tmp_path: Path):
    said = ca(tmp_path).output
    path = str(tmp_path / "ca/ca.pem")
    for word in (
        "curl --cacert",
        "AWS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "update-ca-certificates",
        "security add-trusted-cert",
        "certutil",
        "Firefox",
    ):
        assert word in said
    assert path in said
    assert ca(tmp_path, "--path").output == path + "\n"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    done = ca(tmp_path / "file")
    assert done.exit_code == 1
    assert "Error" in done.output


@pytest.mark.parametrize("damaged", ["ca.key"])
def test_a_damaged_authority_still_shows_its_certificate(tmp_path: Path, damaged: str):
    shown = ca(tmp_path, "--pem").output
    (tmp_path / "ca" / damaged).write_text("")
    assert ca(tmp_path, "--pem").output == shown
