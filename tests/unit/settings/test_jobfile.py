from pathlib import Path

import msgspec
import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import EndpointOverrides, Filters, LayoutName, ObjectAttributes, Rule, TransferOptions
from bucket_brigade.settings.jobfile import JobFile, load_job_file
from bucket_brigade.settings.load import load_settings

ROOT = Path(__file__).parents[3]
NOW_NS = 1_800_000_000 * 10**9
HOUR_NS = 3600 * 10**9


def load(tmp_path: Path, toml: str, options: TransferOptions | None = None) -> JobFile:
    path = tmp_path / "job.toml"
    path.write_text(toml)
    return load_job_file(str(path), now_ns=NOW_NS, options=options)


def test_a_job_file_needs_no_more_than_a_verb_and_a_source(tmp_path: Path) -> None:
    assert load(tmp_path, 'verb = "rm"\nsource = "s3://b/k"') == JobFile(verb="rm", source="s3://b/k")


def test_everything_a_job_file_can_say(tmp_path: Path) -> None:
    job = load(
        tmp_path,
        """
        verb = "mv"
        source = "s3://b/"
        target = "minio://c/p/"
        recursive = true
        version_id = "v1"
        layout = "random"
        manifest = "objects.csv"
        manifest_format = "csv"
        catalog = "s3://c/catalog.gz"
        [filters]
        rules = [{ exclude = "*" }, { include = "*.gz" }]
        min_size = "1KiB"
        max_size = 2048
        modified_after = 2027-01-01
        modified_before = "12h"
        [options]
        part_size_bytes = "5MiB"
        follow_symlinks = true
        [options.attributes]
        content_type = "text/plain"
        metadata = { Who = "me" }
        [source_endpoint]
        endpoint_url = "https://source.example"
        no_sign_request = true
        [target_endpoint]
        region = "eu-central-1"
        """,
    )
    assert job == JobFile(
        verb="mv",
        source="s3://b/",
        target="minio://c/p/",
        recursive=True,
        version_id="v1",
        layout=LayoutName.RANDOM,
        manifest="objects.csv",
        manifest_format="csv",
        catalog="s3://c/catalog.gz",
        filters=Filters(
            rules=(Rule(include=False, pattern="*"), Rule(include=True, pattern="*.gz")),
            min_size=1024,
            max_size=2048,
            modified_after_ns=1_798_761_600 * 10**9,
            modified_before_ns=NOW_NS - 12 * HOUR_NS,
        ),
        options=TransferOptions(
            part_size_bytes=5 << 20,
            follow_symlinks=True,
            attributes=ObjectAttributes(content_type="text/plain", metadata=(("who", "me"),)),
        ),
        source_endpoint=EndpointOverrides(endpoint_url="https://source.example", no_sign_request=True),
        target_endpoint=EndpointOverrides(region="eu-central-1"),
    )


def test_its_options_change_those_in_force_and_keep_the_rest(tmp_path: Path) -> None:
    in_force = TransferOptions(part_size_bytes=7 << 20, attributes=ObjectAttributes(sse="AES256"))
    head = 'verb = "cp"\nsource = "a"\ntarget = "s3://b/"\n'
    changed = load(tmp_path, head + 'options.attributes.acl = "private"\n', in_force).options
    assert changed == TransferOptions(part_size_bytes=7 << 20, attributes=ObjectAttributes(sse="AES256", acl="private"))
    assert load(tmp_path, head, in_force).options == in_force


def test_its_fields_are_those_of_a_job_request() -> None:
    fields = msgspec.structs.asdict(JobFile(verb="rm", source="s3://b/k"))
    assert JobRequest(**fields) == JobRequest(verb="rm", source="s3://b/k")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('verb = "cp"', "has no source"),
        ('source = "x"', "has no verb"),
        ('verb = "sync"', "cp, mv, rm"),
        ('sorce = "x"', "Did you mean source?"),
        ('layout = "hash"', "identity, hashed, random"),
        ("[filters]\nminsize = 3", "Did you mean filters.min_size?"),
        ('[options]\npart_size = "8MiB"', "Did you mean options.part_size_bytes?"),
        ('[options]\npart_size_bytes = "1MiB"', "at least 5 MiB"),
        ('[filters]\nrules = ["*.gz"]', "{ exclude"),
        ('[filters]\nrules = [{ exclude = "a", include = "b" }]', "one include or one exclude"),
        ('[filters]\nrules = [{ only = "a" }]', "one include or one exclude"),
        ("[filters]\nrules = [{ include = 3 }]", "no text"),
        ('[filters]\nmodified_before = "soon"', "neither an age nor a date"),
        ("[filters]\nmodified_before = 30", "30d"),
        ("[filters]\nmin_size = -1", "at least 0 B"),
        ('[source_endpoint]\nsecret_access_key = "x"', "unknown key"),
        ('[source_endpoint]\nregion = "no region"', "is no region"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml)
    assert said in f"{caught.value} | {caught.value.remedy}"
    assert "job.toml" in str(caught.value)


@pytest.mark.parametrize("name", ["migration", "backup", "cleanup"])
def test_the_example_jobs_load(name: str) -> None:
    job = load_job_file(str(ROOT / "config" / "jobs" / f"{name}.toml"), now_ns=NOW_NS)
    expected = {
        "migration": ("cp", "minio://photos/", LayoutName.HASHED),
        "backup": ("cp", "/var/backups/postgres/", LayoutName.IDENTITY),
        "cleanup": ("rm", "s3://example-logs/app/", LayoutName.IDENTITY),
    }
    assert (job.verb, job.source, job.layout) == expected[name]
    assert job.filters.rules


def example_with_everything(tmp_path: Path) -> Path:
    """Return the example with its "#:" lines made real."""
    text = (ROOT / "config" / "brigade.example.toml").read_text()
    path = tmp_path / "everything.toml"
    path.write_text(text.replace("\n#: ", "\n"))
    path.chmod(0o600)
    return path


def test_the_example_configuration_loads_and_states_the_defaults(tmp_path: Path) -> None:
    example = str(ROOT / "config" / "brigade.example.toml")
    environ = {"BRIGADE_STATE_DIR": str(tmp_path)}
    settings = load_settings(config_path=example, environ=environ).settings
    defaults = load_settings(config_path="/dev/null", environ=environ).settings
    assert settings.engine == defaults.engine
    assert settings.transfer == defaults.transfer
    assert settings.log == defaults.log
    assert settings.endpoints["s3"] == defaults.endpoints["s3"]
    assert settings.endpoints["minio"].endpoint_url == "http://127.0.0.1:9000"


def test_the_example_configuration_shows_every_key(tmp_path: Path) -> None:
    path = example_with_everything(tmp_path)
    origins = load_settings(config_path=str(path), environ={}).origins
    unset = {key for key, origin in origins.items() if origin == "default"}
    endpoint_keys = {key.rpartition(".")[2] for key in unset if key.startswith("endpoints.minio.")}
    assert {key for key in unset if not key.startswith("endpoints.")} == set()
    # These are shown at the endpoint "s3".
    assert endpoint_keys == {"profile", "expected_bucket_owner", "sse_c_key"}
