"""Clients that trust the lab's authority accept its certificates where they would accept AWS's."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import certificates
from pytest_s3vpce.lab.certificates import Certificates, names_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", name="lab")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("lab"))


def test_a_folder_that_is_missing_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    made = Certificates(tmp_path / "new" / "lab")
    assert made.ca_pem.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    assert made.ca_pem.parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_can_not_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"the lab's files can't be written to `.*file/lab`: Not a directory"):
        Certificates(tmp_path / "file" / "lab")


def handshake(lab: Certificates, *, name: str | None, limit: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
    """The TLS version agreed with a client that checks the certificate."""
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            lab.server_context.wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    server = threading.Thread(target=serve)
    server.start()
    context = ssl.create_default_context(cafile=str(lab.ca_pem))
    context.maximum_version = limit
    context.check_hostname = name is not None
    try:
        with near, context.wrap_socket(near, server_hostname=name) as secured:
            return str(secured.version())
    finally:
        server.join()


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("b.s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"),
        ("s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"),
        ("a.b.s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"),
        ("b.s3.amazonaws.com", "s3.amazonaws.com"),
        ("b.s3.dualstack.us-gov-west-1.amazonaws.com", "s3.dualstack.us-gov-west-1.amazonaws.com"),
        ("b.s3-fips.dualstack.us-east-1.amazonaws.com", "s3-fips.dualstack.us-east-1.amazonaws.com"),
        ("a-1.s3-accesspoint.eu-west-1.amazonaws.com", "s3-accesspoint.eu-west-1.amazonaws.com"),
        ("1.s3-control.eu-west-1.amazonaws.com", "s3-control.eu-west-1.amazonaws.com"),
        ("b.s3.cn-north-1.amazonaws.com.cn", "s3.cn-north-1.amazonaws.com.cn"),
        ("b.s3.eusc-de-east-1.amazonaws.eu", "s3.eusc-de-east-1.amazonaws.eu"),
        (
            "b.bucket.vpce-0a-1b.s3.us-east-1.vpce.amazonaws.com",
            "bucket.vpce-0a-1b.s3.us-east-1.vpce.amazonaws.com",
        ),
        ("x.vpce-0a-1b.s3.us-east-1.vpce.amazonaws.com", "vpce-0a-1b.s3.us-east-1.vpce.amazonaws.com"),
    ],
)
def test_s3_certificates_cover_one_label_as_on_aws(host: str, names: str) -> None:
    assert names_of(host) == (names, f"*.{names}")


@pytest.mark.parametrize("host", ["sts.eu-west-1.amazonaws.com", "lambda.us-east-1.amazonaws.com", "example.com"])
def test_other_certificates_cover_the_name_asked_for(host: str) -> None:
    assert names_of(host) == (host,)


@pytest.mark.parametrize(
    "name",
    [
        "b.s3.eu-west-1.amazonaws.com",
        "B.S3.eu-west-1.amazonaws.com",
        "sts.amazonaws.com",
        "localhost",
        None,
    ],
)
def test_a_name_gets_a_certificate_that_verifies(lab: Certificates, name: str | None) -> None:
    assert handshake(lab, name=name) == "TLSv1.3"


def test_tls_1_2_is_served(lab: Certificates) -> None:
    assert handshake(lab, name="sts.amazonaws.com", limit=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"


def test_a_bucket_with_a_dot_fails_as_on_aws(lab: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(lab, name="dotted.bucket.s3.eu-west-1.amazonaws.com")


@pytest.mark.parametrize("name", ["-a.example.com", "a..b", "a" * 70 + ".com"])
def test_a_name_that_no_host_has_is_refused(lab: Certificates, name: str) -> None:
    connection = lab.server_context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert lab._choose(connection, name, lab.server_context) == ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


def test_one_certificate_is_made_per_set_of_names(lab: Certificates) -> None:
    hosts = [f"bucket-{number}.s3.ap-south-1.amazonaws.com" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        contexts = set(pool.map(lab.context, hosts))
    assert len(contexts) == 1
    assert lab.context("other.example.com") not in contexts


def test_the_cache_is_bounded(lab: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_LIMIT", 2)
    for number in range(5):
        lab.context(f"host-{number}.example.com")
    assert len(lab._contexts) <= 2


def test_the_folder_holds_the_authoritys_certificate_and_no_key(tmp_path: Path) -> None:
    lab = Certificates(tmp_path)
    lab.context("b.s3.eu-west-1.amazonaws.com")
    assert list(tmp_path.iterdir()) == [lab.ca_pem]
    assert "PRIVATE KEY" not in lab.ca_pem.read_text()
    assert lab.ca_pem.read_text().count("BEGIN CERTIFICATE") == 1
