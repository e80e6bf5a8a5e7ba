"""The cloud's own certificate authority."""

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.net.authority import LEAF_DAYS, Authority
from cumulo.net.tls import names_of

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def made(folder: Path) -> Authority:
    return Authority(folder / "ca", VirtualClock(NOW.timestamp()))


def test_it_is_made_once_and_its_key_is_its_owner_s_alone(tmp_path: Path):
    authority = made(tmp_path)
    assert not authority.made
    first = authority.certificate()
    assert made(tmp_path).certificate() == first
    assert stat.S_IMODE((tmp_path / "ca/ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700


def test_two_clouds_have_authorities_of_different_names(tmp_path: Path):
    one, other = (
        x509.load_pem_x509_certificate(made(tmp_path / name).certificate().encode()) for name in ("a", "b")
    )
    assert one.subject != other.subject


def test_what_it_issues_is_for_the_names_and_addresses_and_for_a_bounded_time(tmp_path: Path):
    issued = made(tmp_path).issue(["a.example.com", "*.b.example.com", "127.0.0.1", "::1"])
    leaf, ca = x509.load_pem_x509_certificates(issued.chain.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names_of(issued.chain) == ("a.example.com", "*.b.example.com")
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert leaf.issuer == ca.subject
    leaf.verify_directly_issued_by(ca)
    assert leaf.not_valid_after_utc == NOW + timedelta(days=LEAF_DAYS)
    assert leaf.not_valid_before_utc < NOW


def test_openssl_accepts_it_by_its_strictest_rules(tmp_path: Path):
    authority = Authority(tmp_path / "ca", SystemClock())
    (tmp_path / "leaf.pem").write_text(authority.issue(["x.localhost"]).chain)
    argv = [
        "openssl",
        "verify",
        "-x509_strict",
        "-CAfile",
        str(authority.path),
        "-verify_hostname",
        "x.localhost",
    ]
    done = subprocess.run([*argv, str(tmp_path / "leaf.pem")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_key_that_is_not_the_certificate_s_is_found_out(tmp_path: Path):
    made(tmp_path).certificate()
    made(tmp_path / "other").certificate()
    (tmp_path / "ca/ca.key").write_bytes((tmp_path / "other/ca/ca.key").read_bytes())
    with pytest.raises(ValueError, match="not the key"):
        made(tmp_path).issue(["a"])
