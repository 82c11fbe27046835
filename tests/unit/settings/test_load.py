import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import EndpointOverrides
from bucket_brigade.settings.load import KEYS, LoadedSettings, load_settings, with_overrides
from bucket_brigade.settings.schema import Kind
from bucket_brigade.settings.sources import key_of_variable, locate_keys, variable_of_key
from bucket_brigade.settings.values import EndpointSettings, Secret, Settings


@pytest.fixture(autouse=True)
def _home_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))


def load(tmp_path: Path, toml: str = "", *, mode: int = 0o600, **variables: str) -> LoadedSettings:
    path = tmp_path / "brigade.toml"
    path.write_text(toml)
    path.chmod(mode)
    return load_settings(config_path=str(path), environ=variables)


def refused(tmp_path: Path, toml: str = "", **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, **variables)
    assert caught.value.exit_code == 2
    return f"{caught.value} | {caught.value.remedy}"


def test_with_nothing_configured_everything_is_a_default(tmp_path: Path) -> None:
    loaded = load_settings(environ={})
    assert loaded.settings == Settings(
        endpoints={"s3": EndpointSettings()}, state_dir=str(tmp_path / "state" / "bucket-brigade")
    )
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.config_path is None


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "brigade.toml"
    path.write_text("[engine]\nconcurrency = 1\nprocesses = 1\nbatch_size = 1\n")
    loaded = load_settings(
        config_path=str(path),
        environ={"BRIGADE_CONCURRENCY": "2", "BRIGADE_PROCESSES": "2"},
        flags={"engine.concurrency": 3, "engine.processes": None},
    )
    engine = loaded.settings.engine
    assert (engine.concurrency, engine.processes, engine.batch_size) == (3, 2, 1)
    assert loaded.origins["engine.concurrency"] == "flag --concurrency"
    assert loaded.origins["engine.processes"] == "environment BRIGADE_PROCESSES"
    assert loaded.origins["engine.batch_size"] == f"file {path}:4"
    assert loaded.origins["engine.grace_s"] == "default"


def test_the_file_is_named_by_flag_or_variable_or_is_the_users_own(tmp_path: Path) -> None:
    own = tmp_path / "config" / "bucket-brigade" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text("engine.concurrency = 1\n")
    by_variable = tmp_path / "variable.toml"
    by_variable.write_text("engine.concurrency = 2\n")
    by_flag = tmp_path / "flag.toml"
    by_flag.write_text("engine.concurrency = 3\n")
    environ = {"BRIGADE_CONFIG": str(by_variable)}
    assert load_settings(environ={}).settings.engine.concurrency == 1
    assert load_settings(environ=environ).settings.engine.concurrency == 2
    assert load_settings(config_path=str(by_flag), environ=environ).settings.engine.concurrency == 3


def test_a_container_is_configured_by_environment_alone(tmp_path: Path) -> None:
    loaded = load_settings(
        environ={
            "BRIGADE_ENDPOINTS__MINIO__ENDPOINT_URL": "https://minio.example",
            "BRIGADE_ENDPOINTS__MINIO__ACCESS_KEY_ID": "AKID",
            "BRIGADE_ENDPOINTS__MINIO__SECRET_ACCESS_KEY": "hush",
            "BRIGADE_ENDPOINTS__MY_STORE__NO_SIGN_REQUEST": "yes",
            "BRIGADE_ENGINE__RETRY__MAX_ATTEMPTS": "3",
            "BRIGADE_ENGINE__CONCURRENCY": "16",
            "BRIGADE_MEMORY": "1GiB",
            "BRIGADE_TRANSFER__ATTRIBUTES__METADATA": "Origin=here,b=c=d",
            "BRIGADE_STATE_DIR": "/state",
            "BRIGADE_LOG_FORMAT": "json",
            "BRIGADE_LOG_LEVEL": "",
            "PATH": "/bin",
        }
    )
    settings = loaded.settings
    assert settings.endpoints["minio"] == EndpointSettings(
        name="minio",
        endpoint_url="https://minio.example",
        access_key_id="AKID",
        secret_access_key=Secret("hush"),
    )
    assert settings.endpoints["my-store"].no_sign_request
    assert settings.engine.retry.max_attempts == 3
    assert settings.engine.concurrency == 16
    assert settings.engine.memory_bytes == 1 << 30
    assert settings.transfer.attributes.metadata == (("origin", "here"), ("b", "c=d"))
    assert (settings.state_dir, settings.log.format, settings.log.level) == ("/state", "json", "info")


def test_tables_of_the_file_fill_the_structs(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        state_dir = "jobs"
        [endpoints.minio]
        endpoint_url = "http://127.0.0.1:9000"
        ca_bundle = "ca.pem"
        connect_timeout_s = "1m"
        [endpoints.bare]
        [endpoints.s3]
        region = "eu-central-1"
        [engine]
        log_interval_s = 2
        [engine.retry]
        base_delay_s = "250ms"
        [transfer]
        part_size_bytes = "16 MiB"
        [transfer.attributes]
        storage_class = "STANDARD_IA"
        metadata = { Owner = "me" }
        tagging = { Team = "A" }
        """,
    ).settings
    assert set(settings.endpoints) == {"s3", "minio", "bare"}
    assert settings.endpoints["minio"].connect_timeout_s == 60
    assert settings.endpoints["minio"].ca_bundle == str(tmp_path / "ca.pem")
    assert settings.endpoints["s3"].region == "eu-central-1"
    assert settings.state_dir == str(tmp_path / "jobs")
    assert settings.engine.retry.base_delay_s == 0.25
    assert settings.engine.log_interval_s == 2.0
    assert settings.transfer.part_size_bytes == 16 << 20
    assert settings.transfer.attributes.metadata == (("owner", "me"),)
    assert settings.transfer.attributes.tagging == (("Team", "A"),)


@pytest.mark.parametrize(
    ("toml", "guess"),
    [
        ("[engine]\nconcurency = 3", "engine.concurrency"),
        ("[transfer]\npart_size = '8MiB'", "transfer.part_size_bytes"),
        ("[endpoints.minio]\nendpoint_ur = 'https://x'", "endpoints.minio.endpoint_url"),
        ("[log]\nlevle = 'info'", "log.level"),
        ("statedir = '/x'", "state_dir"),
        ("[engin]", "engine"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest_one(tmp_path: Path, toml: str, guess: str) -> None:
    message = refused(tmp_path, toml)
    assert "unknown key" in message
    assert guess in message.split("|")[1]
    assert "brigade.toml" in message


def test_an_unknown_variable_is_an_error_that_names_the_nearest_one(tmp_path: Path) -> None:
    message = refused(tmp_path, BRIGADE_CONCURENCY="3")
    assert "BRIGADE_CONCURENCY" in message
    assert "Did you mean BRIGADE_CONCURRENCY?" in message
    message = refused(tmp_path, BRIGADE_ENDPOINTS__MINIO__ENDPOINT="https://x")
    assert "Did you mean BRIGADE_ENDPOINTS__MINIO__ENDPOINT_URL?" in message


def test_what_kubernetes_puts_beside_a_service_named_brigade_is_no_configuration(tmp_path: Path) -> None:
    load(
        tmp_path,
        BRIGADE_SERVICE_HOST="10.0.0.1",
        BRIGADE_SERVICE_PORT_HTTP="80",
        BRIGADE_PORT="tcp://10.0.0.1:80",
        BRIGADE_PORT_80_TCP_ADDR="10.0.0.1",
    )


def test_two_variables_for_one_key_must_agree(tmp_path: Path) -> None:
    message = refused(tmp_path, BRIGADE_CONCURRENCY="1", BRIGADE_ENGINE__CONCURRENCY="2")
    assert "BRIGADE_CONCURRENCY and BRIGADE_ENGINE__CONCURRENCY" in message
    agreed = load(tmp_path, BRIGADE_CONCURRENCY="1", BRIGADE_ENGINE__CONCURRENCY="1")
    assert agreed.settings.engine.concurrency == 1


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("engine.concurrency = -1", "at least 0"),
        ("engine.concurrency = true", "whole number"),
        ("engine.concurrency = 1.5", "whole number"),
        ("engine.concurrency = '4x'", "whole number"),
        ("engine.batch_size = 1001", "at most 1000"),
        ("engine.batch_size = 0", "at least 1"),
        ("engine.grace_s = -1", "at least 0 s"),
        ("engine.grace_s = nan", "out of range"),
        ("engine.memory_bytes = '1MiB'", "at least 5 MiB"),
        ("transfer.part_size_bytes = '4MiB'", "at least 5 MiB and at most 5 GiB"),
        ("transfer.part_size_bytes = '5121MiB'", "at most 5 GiB"),
        ("transfer.part_size_bytes = '8M'", "8MiB"),
        ("transfer.guess_content_type = 'perhaps'", "true nor false"),
        ("transfer.attributes.metadata = { a = 1 }", "no table"),
        ("log.level = 'loud'", "debug, info, warning, error"),
        ("endpoints.s3.checksum = 'md5'", "auto, crc64nvme, when_required"),
        ("endpoints.s3.addressing = 'virtul'", "auto, path, virtual"),
        ("endpoints.s3.region = 'eu_1'", "is no region"),
        ("endpoints.s3.region = 'x.evil.example/'", "is no region"),
        ("endpoints.s3.expected_bucket_owner = '123'", "account id"),
        ("endpoints.s3.profile = ''", "empty"),
        ("endpoints.s3.profile = 3", "quotes"),
        ("endpoints.s3.endpoint_url = 'minio:9000'", "not a URL"),
        ("endpoints.s3.endpoint_url = 'https://x?y=z'", "query"),
        ("endpoints.s3.endpoint_url = 'https://x:port'", "not a URL"),
        ("endpoints.s3.endpoint_url = 'http://169.254.169.254'", "metadata"),
        ("endpoints.s3.endpoint_url = 'http://[::ffff:169.254.169.254]'", "metadata"),
        ("endpoints.s3.endpoint_url = 'http://[fe80::1]'", "metadata"),
        ("endpoints.s3.endpoint_url = 'http://store.example'", "allow_http"),
        ("endpoints.s3.access_key_id = 'a'", "half"),
        ("endpoints.s3.session_token = 'a'", "session token"),
        ("endpoints.https.region = 'x'", "cannot be called"),
        ("endpoints.Minio.region = 'x'", "endpoint's name"),
        ("endpoints.minio = 'https://x'", "[endpoints.minio]"),
        ("engine = 3", "[engine]"),
        ("[engine\n", "not TOML"),
    ],
)
def test_what_is_not_acceptable_is_refused_with_its_reason(tmp_path: Path, toml: str, reason: str) -> None:
    message = refused(tmp_path, toml)
    assert reason in message
    assert "brigade.toml" in message


def test_http_is_for_loopback_or_on_request(tmp_path: Path) -> None:
    load(
        tmp_path, "[endpoints.a]\nendpoint_url = 'http://127.0.0.1:1'\n[endpoints.b]\nendpoint_url = 'http://localhost'"
    )
    load(tmp_path, "[endpoints.a]\nendpoint_url = 'http://store.example'\nallow_http = true")


def test_a_missing_file_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"cannot read /nowhere/x\.toml: No such file"):
        load_settings(config_path="/nowhere/x.toml", environ={})


def test_secrets_never_show(tmp_path: Path) -> None:
    toml = "[endpoints.minio]\naccess_key_id = 'a'\nsecret_access_key = 'hush-hush'"
    assert "hush-hush" not in repr(load(tmp_path, toml))
    assert "hush-hush" not in str(load(tmp_path, toml).settings)
    for wrong in ("secret_access_key = ['hush-hush']", "endpoint_url = 'https://me:hush-hush@x.example'"):
        assert "hush-hush" not in refused(tmp_path, f"[endpoints.minio]\n{wrong}")


def test_secrets_are_no_flags() -> None:
    with pytest.raises(ConfigError, match="is a secret"):
        load_settings(environ={}, flags={"endpoints.s3.secret_access_key": "x"})


def test_a_file_with_secrets_that_others_can_read_is_warned_about(tmp_path: Path) -> None:
    toml = "[endpoints.minio]\naccess_key_id = 'a'\nsecret_access_key = 'b'"
    assert load(tmp_path, toml, mode=0o600).warnings == ()
    (warning,) = load(tmp_path, toml, mode=0o640).warnings
    assert "chmod 600" in warning
    assert load(tmp_path, "[log]\nlevel = 'info'", mode=0o644).warnings == ()


def test_overrides_change_what_they_say_and_nothing_else() -> None:
    endpoint = EndpointSettings(
        name="minio", region="a", access_key_id="k", secret_access_key=Secret("s"), checksum="auto"
    )
    assert with_overrides(endpoint, EndpointOverrides()) == endpoint
    changed = with_overrides(
        endpoint, EndpointOverrides(region="b", no_sign_request=True, endpoint_url="https://x.example")
    )
    assert (changed.region, changed.no_sign_request, changed.endpoint_url) == ("b", True, "https://x.example")
    assert (changed.name, changed.access_key_id) == ("minio", "k")


def test_a_profile_in_the_overrides_replaces_configured_keys() -> None:
    endpoint = EndpointSettings(access_key_id="k", secret_access_key=Secret("s"), session_token=Secret("t"))
    changed = with_overrides(endpoint, EndpointOverrides(profile="other"))
    assert (changed.access_key_id, changed.secret_access_key, changed.session_token) == (None, None, None)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (EndpointOverrides(region="no region"), "flag --region"),
        (EndpointOverrides(endpoint_url="http://store.example"), "--allow-http"),
        (EndpointOverrides(checksum="md5"), "choose|among the choices"),
    ],
)
def test_overrides_are_checked_like_the_configuration(overrides: EndpointOverrides, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_overrides(EndpointSettings(), overrides)
    assert any(word in f"{caught.value} {caught.value.remedy}" for word in reason.split("|"))


def test_every_origin_is_of_a_known_key_and_every_key_has_one() -> None:
    origins = load_settings(environ={"BRIGADE_ENDPOINTS__MINIO__REGION": "x"}).origins
    expected = {key for key in KEYS if not key.startswith("endpoints.")}
    for endpoint in ("s3", "minio"):
        expected |= {key.replace("*", endpoint) for key in KEYS if key.startswith("endpoints.")}
    assert origins.keys() == expected


@given(st.sampled_from(sorted(KEYS)))
def test_every_key_has_a_variable_that_sets_it(key: str) -> None:
    named = key.replace("*", "my-store")
    assert key_of_variable(variable_of_key(named)) == named


def test_every_default_would_be_accepted_if_it_were_written_down() -> None:
    flags = {
        key.name.replace("*", "s3"): key.default
        for key in KEYS.values()
        if key.default is not None and key.kind is not Kind.SECRET
    }
    assert load_settings(environ={"BRIGADE_STATE_DIR": "/x"}, flags=flags).settings == Settings(
        endpoints={"s3": EndpointSettings()}, state_dir="/x"
    )


def test_lines_of_keys_are_found_in_tables_and_dotted_keys() -> None:
    text = '# x\na.b = 1\n[t]\n"c" = 2\n[t."u"]\nd = 3\n[[many]]\n'
    assert locate_keys(text) == {"a.b": 2, "t.c": 4, "t.u.d": 6}


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bucket_brigade.settings.load import load_settings;"
        "load_settings(config_path='/dev/null', environ={'BRIGADE_STATE_DIR': '/x'});"
        "print(*{'aioboto3', 'botocore', 'aiohttp', 'rich', 'structlog', 'asyncio', 'platformdirs', 'difflib'} & {*sys.modules})"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    assert found.stdout.strip() == ""
