"""A certificate authority for one test run, and a certificate of it for loopback."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Certificates(NamedTuple):
    """PEM files: what the client trusts, and what the server shows."""

    ca: str
    certificate: str
    key: str


def make_certificates(
    folder: str, *, names: list[x509.GeneralName] | None = None, age: dt.timedelta = dt.timedelta(hours=1)
) -> Certificates:
    """Write a new authority and a certificate for loopback (or ``names``), made ``age`` ago for two days, into ``folder``."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("bucket-brigade test authority")
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name("localhost"), ca_name, key.public_key(), age)
        .add_extension(x509.SubjectAlternativeName(names or _loopback_names()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificates(
        ca=_write(folder, "ca.pem", ca.public_bytes(serialization.Encoding.PEM)),
        certificate=_write(folder, "server.pem", certificate.public_bytes(serialization.Encoding.PEM)),
        key=_write(folder, "server.key", private),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, age: dt.timedelta = dt.timedelta(hours=1)
) -> x509.CertificateBuilder:
    made = dt.datetime.now(dt.UTC) - age
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(made)
        .not_valid_after(made + dt.timedelta(days=2))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _loopback_names() -> list[x509.GeneralName]:
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    return [x509.DNSName("localhost"), *addresses]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: str, name: str, pem: bytes) -> str:
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(pem)
    return path
