"""``brigade config import-mc``: what is added to a configuration, and what never is."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bucket_brigade.cli.main import main

ALIASES = {
    "My_Store": {
        "url": "http://127.0.0.1:9000",
        "accessKey": "AK",
        "secretKey": "canary",
        "api": "S3v4",
        "path": "auto",
    },
    "plain": {"url": "http://store.example.com", "accessKey": "AK", "secretKey": "canary", "api": "S3v4", "path": "on"},
}


@pytest.fixture
def mc(tmp_path: Path) -> Path:
    path = tmp_path / "mc.json"
    path.write_text(json.dumps({"version": "10", "aliases": ALIASES}))
    return path


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command; return the exit code, and everything that was printed."""

    def call(*arguments: object) -> tuple[int, str]:
        code = main([str(one) for one in arguments])
        return code, "".join(capfd.readouterr())

    return call


def test_endpoints_are_added_behind_what_is_there(run: Run, mc: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("# mine\n[engine]\nconcurrency = 7")
    code, output = run("--config", config, "config", "import-mc", "--file", mc)
    assert code == 0
    assert "added my-store" in output
    assert "skipped plain" in output
    assert "canary" not in output
    assert config.read_text().startswith("# mine\n[engine]\nconcurrency = 7\n")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    code, output = run("--config", config, "config", "endpoints.my-store.region", "engine.concurrency")
    assert '"us-east-1"  # preset minio' in output
    assert "7" in output


def test_nothing_is_replaced_and_a_second_time_changes_nothing(run: Run, mc: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    run("config", "import-mc", "--file", mc, "--into", config)
    before = config.read_text()
    code, output = run("--config", config, "config", "import-mc", "--file", mc, "--json")
    assert (code, json.loads(output)["written"]) == (0, False)
    assert "canary" not in output
    assert config.read_text() == before


def test_a_dry_run_writes_nothing_and_shows_no_secret(run: Run, mc: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    code, output = run("config", "import-mc", "--file", mc, "--into", config, "--dryrun", "--allow-http")
    assert code == 0
    assert "[endpoints.plain]" in output
    assert "allow_http = true" in output
    assert "canary" not in output
    assert not config.exists()


def test_a_configuration_that_is_broken_stays_as_it_is(run: Run, mc: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[broken")
    code, _ = run("config", "import-mc", "--file", mc, "--into", config)
    assert code == 2
    assert config.read_text() == "[broken"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "mc.json"]


def test_a_file_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    code, output = run("config", "import-rclone", "--file", tmp_path / "nothing")
    assert code == 2
    assert "nothing" in output
