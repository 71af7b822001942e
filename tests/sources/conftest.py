from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.sources.nessus_stand import CloudStand, History, NessusStand, Scan
from tests.sources.stand import listening

SHARED = Path(os.environ.get("VMJIRA_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared"))
RECORDED = SHARED / "contracts" / "nessus"


def past(**ago: float) -> int:
    return int((datetime.now(UTC) - timedelta(**ago)).timestamp())


def scans() -> list[Scan]:
    """Three rounds of a weekly scan and what one meets beside them."""
    weekly = [
        History(1, "u-1", past(days=60)),
        History(2, "u-2", past(days=14)),
        History(3, "u-3", past(days=8), "aborted"),
        History(4, "u-4", past(days=7), hosts=("10.1.0.7", "10.9.9.9", "pc7.example.com")),
        History(5, "u-5", past(days=6), other=True),
    ]
    return [
        Scan(10, "Weekly Boston", weekly),
        Scan(11, "Weekly New York", [History(1, "v-1", past(days=3)), History(2, "v-2", past(hours=1), "running")]),
        Scan(12, "Imported", imported="template-0815", targets=None),
        Scan(13, "Old", [History(1, "w-1", past(days=1))], folder=2),
        Scan(14, "Never", []),
        Scan(15, "Web site", [History(1, "x-1", past(days=1))], type="webapp"),
    ]


@pytest.fixture
def nessus() -> Iterator[NessusStand]:
    with listening(NessusStand(scans=scans())) as stand:
        assert isinstance(stand, NessusStand)
        yield stand


@pytest.fixture
def cloud() -> Iterator[CloudStand]:
    with listening(CloudStand(scans=scans())) as stand:
        assert isinstance(stand, CloudStand)
        yield stand


@dataclass
class Authority:
    """A certificate authority of one's own, and a server's certificate for 127.0.0.1 by it."""

    file: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("tls")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Test CA", ca_key.public_key(), "Test CA", ca_key, ca=True)
    server = _certificate("127.0.0.1", key.public_key(), "Test CA", ca_key, ca=False)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + server.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return Authority(folder / "ca.pem", context)


def _certificate(name, public, issuer, signer, *, ca):  # type: ignore[no-untyped-def]
    now = datetime.now(UTC)
    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())
