"""moto: the widest API, and the most credulous."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator

from bucket_brigade.settings.values import EndpointSettings, Secret
from tests.servers.process import serving
from tests.servers.running import CONDITIONAL_WRITES, CONDITIONS, RunningServer


@contextlib.contextmanager
def start_moto() -> Iterator[RunningServer]:
    """Run moto in a process of its own: it is slow, and would hold up the event loop of the tests."""
    with tempfile.TemporaryDirectory(prefix="moto-") as folder, serving(_command, folder=folder) as port:
        yield RunningServer(
            name="moto",
            endpoint=EndpointSettings(
                name="moto",
                endpoint_url=f"http://127.0.0.1:{port}",
                region="us-east-1",
                access_key_id="AKIAMOTO",
                secret_access_key=Secret("moto-does-not-look"),
            ),
            enforces=frozenset({CONDITIONS, CONDITIONAL_WRITES}),
        )


def _command(port: int) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
