"""``rclone serve s3``: fast, verifies signatures, and full of quirks."""

from __future__ import annotations

import contextlib
import os
import secrets
import sysconfig
import tempfile
from collections.abc import Iterator

from bucket_brigade.settings.values import EndpointSettings, Secret
from tests.servers.certificates import make_certificates
from tests.servers.process import serving
from tests.servers.running import SIGNATURES, RunningServer


@contextlib.contextmanager
def start_rclone(tls: bool = False) -> Iterator[RunningServer]:
    """Run rclone over its in-memory backend."""
    secret = secrets.token_hex(20)
    with tempfile.TemporaryDirectory(prefix="rclone-") as folder:
        certificates = make_certificates(folder) if tls else None

        def command(port: int) -> list[str]:
            options = ["--cert", certificates.certificate, "--key", certificates.key] if certificates else []
            address = ["--addr", f"127.0.0.1:{port}", "--config", os.path.join(folder, "rclone.conf")]
            return [
                os.path.join(sysconfig.get_path("scripts"), "rclone"),
                "serve",
                "s3",
                *address,
                *options,
                ":memory:",
            ]

        # Secrets have no place in a list of arguments. The variable is read as a line of CSV, hence the quotes.
        environment = {"RCLONE_AUTH_KEY": f'"AKIARCLONE,{secret}"'}
        with serving(command, folder=folder, environment=lambda _port: environment) as port:
            yield RunningServer(
                name="rclone-tls" if tls else "rclone",
                endpoint=EndpointSettings(
                    name="rclone",
                    endpoint_url=f"{'https' if tls else 'http'}://127.0.0.1:{port}",
                    region="us-east-1",
                    access_key_id="AKIARCLONE",
                    secret_access_key=Secret(secret),
                    ca_bundle=certificates.ca if certificates else None,
                ),
                enforces=frozenset({SIGNATURES}),
            )
