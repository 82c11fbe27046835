"""No verb shows a secret: not in what it prints or logs, not in a file that it writes, not on a command line.

Every verb runs at debug level with canaries in the environment, in the configuration file and in a profile, against a store
that works and against ones that do not; then all that came out of it is searched. A verb without a line in ``LINES`` fails.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

from bucket_brigade.cli.main import brigade, main
from bucket_brigade.jobs.brigade import Brigade
from tests.faults import canaries
from tests.faults.canaries import EchoingStore, echoing_store, files_below, found_in
from tests.servers import RunningServer

Line = Sequence[str]

LINES: dict[str, tuple[Line, ...]] = {
    "cp": (
        ("cp", "{folder}/tree/", "s3://{bucket}/p/", "--layout", "hashed"),
        ("cp", "s3://{bucket}/p/", "{folder}/back/"),
        ("cp", "s3://{bucket}/p/", "canary://{bucket}/q/"),
        ("cp", "{folder}/tree/", "s3://{bucket}/d/", "--dryrun"),
        ("cp", "{folder}/tree/", "profiled://{bucket}/r/"),
        ("cp", "{folder}/tree/", "s3://{bucket}/c/", "--sse-c-key-file", "{folder}/customer.key"),
        ("cp", "s3://{bucket}/c/", "s3://{bucket}/c2/", "--source-sse-c-key-file", "{folder}/customer.key"),
    ),
    "mv": (("mv", "s3://{bucket}/q/", "s3://{bucket}/s/"),),
    "rm": (("rm", "s3://{bucket}/s/", "--recursive", "--yes"), ("rm", "s3://{bucket}/key")),
    "set": (("set", "s3://{bucket}/plain/", "--recursive", "--metadata", "name=value", "--yes"),),
    "unarchive": (("unarchive", "s3://{bucket}/plain/", "--recursive"),),
    "ls": (("ls",), ("ls", "s3://{bucket}/", "--recursive")),
    "restore": (("restore", "s3://{bucket}/plain/", "--as-of", "2026-01-01T00:00:00Z"),),
    "undelete": (("undelete", "s3://{bucket}/plain/"),),
    "du": (("du", "s3://{bucket}/plain/"),),
    "cat": (("cat", "s3://{bucket}/plain/one"),),
    "mb": (("mb", "s3://{bucket}-other"),),
    "rb": (("rb", "s3://{bucket}-other", "--force", "--yes"),),
    "bucket info": (("bucket", "info", "s3://{bucket}"),),
    "bucket set": (("bucket", "set", "s3://{bucket}", "--versioning", "on", "--tags", "name=value", "--yes"),),
    "doctor": (("doctor", "s3://{bucket}/"),),
    "iam-policy": (("iam-policy", "cp", "{folder}/tree/", "s3://{bucket}/p/"), ("iam-policy", "{job}")),
    "run": (("run", "{folder}/job.toml"),),
    "resume": (("resume", "{job}"), ("resume", "{job}", "--retry-failed")),
    "status": (("status", "{job}"),),
    "set-limit": (("set-limit", "{job}", "--max-requests-per-second", "100"),),
    "jobs": (("jobs",),),
    "cancel": (("cancel", "{job}"),),
    "report": (("report", "{job}", "--all"),),
    "lookup": (("lookup", "one", "--catalog", "{catalog}"),),
    "gc": (("gc", "s3://{bucket}/", "--yes"),),
    "demo": (("demo",),),
    "config show": (("config", "show"), ("config", "show", "endpoints.canary.secret_access_key")),
    "config presets": (("config", "presets"),),
    "config import-mc": (
        ("config", "import-mc", "--file", "{folder}/mc.json", "--into", "{folder}/imported.toml", "--dryrun"),
        ("config", "import-mc", "--file", "{folder}/mc.json", "--into", "{folder}/imported.toml"),
    ),
    "config import-rclone": (
        ("config", "import-rclone", "--file", "{folder}/rclone.conf", "--into", "{folder}/imported.toml", "--dryrun"),
        ("config", "import-rclone", "--file", "{folder}/rclone.conf", "--into", "{folder}/imported.toml"),
    ),
    "completion": (("completion", "bash"),),
}
"""What each verb is run with. ``{job}`` and ``{catalog}`` are of the last job of the test."""


def verbs(group: click.Group = brigade, words: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every verb of the command, those of its groups by all their words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, f"{words}{name} ")
        else:
            yield words + name, command


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_every_verb_has_its_lines() -> None:
    assert {name for name, _ in verbs()} == set(LINES), "add what a new verb is run with"


@pytest.mark.parametrize(("verb", "command"), list(verbs()), ids=lambda value: value if isinstance(value, str) else "")
def test_no_flag_takes_a_secret(verb: str, command: click.Command) -> None:
    """What is on a command line is in the shell's history, and every user of the machine can read it."""
    for parameter in command.params:
        for name in parameter.opts if isinstance(parameter, click.Option) else ():
            takes_a_file = name.endswith(("-file", "-path"))
            suspicious = re.search(
                r"secret|password|passphrase|token|credential|access-key|customer-key|sse-c(?!lass)", name
            )
            assert not suspicious or takes_a_file or getattr(parameter, "is_flag", False), f"{verb} {name}"


# --- running ---------------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """The command in a folder of its own, where secrets lie where users put them.

    Attributes:
        planted: the files that hold them.
    """

    folder: Path
    bucket: str
    planted: list[Path]
    capture: pytest.CaptureFixture[bytes]
    signatures: set[str] = field(default_factory=set)
    runs: int = 0

    def fill(self, line: Line) -> list[str]:
        journals = sorted((self.folder / "state").glob("jobs/[!.]*/journal.db"), key=os.path.getmtime)
        catalogs = sorted((self.folder / "state").glob("jobs/*/catalog*"), key=os.path.getmtime)
        values = {
            "folder": str(self.folder),
            "bucket": self.bucket,
            "job": journals[-1].parent.name if journals else "20260101-000000-0000",
            "catalog": str(catalogs[-1]) if catalogs else f"{self.folder}/none",
        }
        return [word.format(**values) for word in line]

    def run(self, line: Line, *more: str) -> tuple[int, bytes]:
        """Run one line in this process, and search what it printed; return its exit code and that."""
        words = [*self.fill(line), *more]
        code = main(words)
        shown = self.capture.readouterr()
        said = shown.out + shown.err
        found = found_in(said, self.signatures)
        assert not found, f"{words} shows {found}"
        self.runs += 1
        return code, said

    def search_files(self) -> int:
        """Search every file that is not the user's own; return how many there were."""
        count = 0
        for path in files_below(self.folder, but=self.planted):
            found = found_in(path.read_bytes(), self.signatures)
            assert not found, f"{path} holds {found}"
            count += 1
        return count


@pytest.fixture
def trial(
    moto: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes],
    request: pytest.FixtureRequest,
) -> Trial:  # fmt: skip
    url = moto.endpoint.endpoint_url
    config, credentials, aws = tmp_path / "config.toml", tmp_path / "credentials", tmp_path / "aws"
    config.write_text(
        f'[endpoints.canary]\nendpoint_url = "{url}"\nregion = "us-east-1"\naccess_key_id = "{canaries.ACCESS_KEY}"\n'
        f'secret_access_key = "{canaries.CONFIGURED_SECRET}"\nsession_token = "{canaries.TOKEN}"\n'
        f'[endpoints.profiled]\nendpoint_url = "{url}"\nregion = "us-east-1"\nprofile = "canary"\n'
        "[engine.retry]\nmax_attempts = 1\n"
    )
    config.chmod(0o600)
    credentials.write_text(
        f"[canary]\naws_access_key_id = {canaries.ACCESS_KEY}\naws_secret_access_key = {canaries.PROFILE_SECRET}\n"
    )
    for name, value in {
        "AWS_ACCESS_KEY_ID": canaries.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": canaries.SECRET_KEY,
        "AWS_SESSION_TOKEN": canaries.TOKEN,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url or "",
        "AWS_CONFIG_FILE": str(aws),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "BRIGADE_CONFIG": str(config),
        "BRIGADE_STATE_DIR": str(tmp_path / "state"),
        "BRIGADE_LOG_LEVEL": "debug",
        "BRIGADE_ENGINE__LOG_INTERVAL_S": "0.1s",
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    for name in ("home", "tmp", "tree", "back"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        (tmp_path / "tree" / name).write_bytes(b"content")
    bucket = "secrets-" + re.sub(r"[^a-z0-9]+", "-", request.node.name)[:40].strip("-")
    (tmp_path / "job.toml").write_text(f'verb = "cp"\nsource = "{tmp_path}/tree/"\ntarget = "s3://{bucket}/job/"\n')
    mc, rclone, imported = tmp_path / "mc.json", tmp_path / "rclone.conf", tmp_path / "imported.toml"
    mc.write_text(
        '{"version": "10", "aliases": {"taken": {"url": "https://store.example", "accessKey": "AKIATAKEN",'
        f' "secretKey": "{canaries.IMPORTED_SECRET}", "api": "S3v4", "path": "auto"}}}}\n'
    )
    rclone.write_text(
        "[over]\ntype = s3\nprovider = Minio\nendpoint = https://store.example\naccess_key_id = AKIATAKEN\n"
        f"secret_access_key = {canaries.IMPORTED_SECRET}\n"
    )
    customer_key = tmp_path / "customer.key"
    customer_key.write_bytes(canaries.SSE_C_KEY)
    customer_key.chmod(0o600)
    planted = [config, credentials, mc, rclone, imported, customer_key]
    return Trial(tmp_path, bucket, planted, capfdbinary)


def run_all(trial: Trial, *more: str, of_demo: bool = False) -> None:
    """Run every line of every verb, with ``--json`` too where the verb has it."""
    for verb, command in verbs():
        if verb == "demo" and not of_demo:
            continue
        for line in LINES.get(verb, ()):
            trial.run(line, *more)
            if "--json" in options_of(command):
                trial.run(line, "--json", *more)


def test_no_secret_comes_out_where_all_is_well_and_what_is_written_is_its_owners_alone(trial: Trial) -> None:
    before = os.umask(0)
    try:
        assert trial.run(("mb", "s3://{bucket}"))[0] == 0
        code, said = trial.run(("cp", "{folder}/tree/", "s3://{bucket}/plain/"))
        assert code == 0
        assert b"transfer finished" in said
        run_all(trial, of_demo=True)
    finally:
        os.umask(before)
    assert trial.search_files() > 20
    check_modes(trial.folder / "state")


def check_modes(state: Path) -> None:
    """Journals, catalogs, reports, limits, profiles of endpoints: nobody else reads any of it, whatever the umask."""
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (state, *state.rglob("*"))}
    files = [path for path in modes if path.is_file()]
    assert {path.name.partition(".")[0] for path in files} >= {"journal", "report", "catalog", "limits"}
    for path, mode in modes.items():
        assert mode == (0o600 if path in files else 0o700), f"{path}: {mode:o}"


@pytest.mark.parametrize(("lane", "status"), [("auto", 403), ("off", 403), ("auto", 307), ("off", 500)])
def test_no_secret_comes_out_where_the_store_repeats_what_it_was_sent(
    status: int, lane: str, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    with echoing_store() as store:
        store.status = status
        point_at(store, trial, monkeypatch)
        monkeypatch.setenv("BRIGADE_ENGINE__LANE", lane)
        run_all(trial)
        assert len(store.signatures) > 10
        trial.signatures |= store.signatures
        trial.search_files()


def test_no_secret_comes_out_of_a_job_whose_objects_are_all_refused(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look goes well, so that the refusals reach journal, log and report."""
    with echoing_store() as store:
        point_at(store, trial, monkeypatch)
        store.takes = re.compile(r"HEAD /[^/?]+$|GET /[^/?]+/?\?.*list-type")
        manifest = trial.folder / "list.csv"
        manifest.write_text(f"bucket,key\n{trial.bucket},key\n")
        for line in (
            ("cp", "{folder}/tree/", "s3://{bucket}/p/"),
            ("cp", "s3://{bucket}/", "{folder}/back/", "--manifest", str(manifest)),
            ("cp", "s3://{bucket}/", "s3://{bucket}/x/", "--manifest", str(manifest)),
            ("cp", "s3://{bucket}/", "canary://{bucket}/x/", "--manifest", str(manifest)),
            ("rm", "s3://{bucket}/", "--manifest", str(manifest), "--yes"),
        ):
            code, said = trial.run(line)
            assert code == 3, said.decode()
            assert b"transfer failed" in said
            for after in (("report", "{job}"), ("status", "{job}"), ("resume", "{job}", "--retry-failed")):
                trial.run(after)
                trial.run(after, "--json")
        trial.signatures |= store.signatures
        assert trial.search_files() > 10


def point_at(store: EchoingStore, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    monkeypatch.setenv("BRIGADE_SSE_C_KEY", canaries.SSE_C_KEY.decode())
    config = trial.planted[0]
    config.write_text(re.sub(r'endpoint_url = ".*"', f'endpoint_url = "{store.url}"', config.read_text()))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://nowhere.invalid"])
def test_no_secret_comes_out_where_nobody_answers(url: str, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    run_all(trial)
    trial.search_files()


# --- what users get wrong --------------------------------------------------------------------------------------------

PASSWORD_URL = f"https://user:{canaries.URL_PASSWORD}@store.example"
SIGNED_URL = (
    f"https://store.example/b/k?X-Amz-Signature={canaries.URL_SIGNATURE}&X-Amz-Security-Token={canaries.URL_SIGNATURE}"
)
WRONG_WORDS: tuple[Line, ...] = (
    ("ls", "s3://b/", "--endpoint-url", PASSWORD_URL),
    ("ls", "s3://b/", "--endpoint-url", SIGNED_URL),
    ("cp", PASSWORD_URL, "s3://b/k"),
    ("cp", SIGNED_URL, "s3://b/k"),
    ("cp", "s3://b/k", SIGNED_URL),
    ("ls", SIGNED_URL),
    ("cat", SIGNED_URL),
    ("mb", PASSWORD_URL),
    ("cp", f"s3://{canaries.ACCESS_KEY}:{canaries.URL_PASSWORD}@bucket/key", "{folder}/x"),
    ("run", SIGNED_URL),
    ("lookup", "x", "--catalog", SIGNED_URL),
)


@pytest.mark.parametrize("line", WRONG_WORDS, ids=range(len(WRONG_WORDS)))
def test_a_secret_in_a_url_is_not_repeated(line: Line, trial: Trial) -> None:
    code, _ = trial.run(line)
    assert code == 2
    trial.search_files()


WRONG_FILES = (
    f'secret_access_key = "{canaries.CONFIGURED_SECRET}"\n',
    f'[endpoints.canary]\nsecret_acces_key = "{canaries.CONFIGURED_SECRET}"\n',
    f'[endpoints.canary]\nsecret_access_key = "{canaries.CONFIGURED_SECRET}"\n',
    f'[endpoints.canary]\nsecret_access_key = "{canaries.CONFIGURED_SECRET}\n',
    f"[endpoints.canary]\nsecret_access_key = {canaries.CONFIGURED_SECRET}\n",
    f'[endpoints.canary]\nsecret_access_key = ["{canaries.CONFIGURED_SECRET}"]\n',
    f'[endpoints.canary]\nsession_token = "{canaries.TOKEN}"\n',
    f'[endpoints.canary]\nsession_token.is = "{canaries.TOKEN}"\n',
    f'[endpoints.canary]\nendpoint_url = "{PASSWORD_URL}"\n',
    f'[endpoints.canary]\nendpoint_url = "{SIGNED_URL}"\n',
)


@pytest.mark.parametrize("text", WRONG_FILES, ids=range(len(WRONG_FILES)))
def test_a_secret_in_a_broken_file_is_not_repeated(text: str, trial: Trial) -> None:
    trial.planted[0].write_text(text)
    for line in (("config",), ("ls", "s3://b/"), ("config", "--json")):
        code, _ = trial.run(line)
        assert code == 2
    job = trial.folder / "job.toml"
    job.write_text(text)
    trial.planted.append(job)
    trial.planted[0].write_text("")
    assert trial.run(("run", str(job)))[0] == 2


def test_a_secret_in_a_variable_that_is_not_known_is_not_repeated(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIGADE_ENDPOINTS__CANARY__SECRET_ACES_KEY", canaries.SECRET_KEY)
    assert trial.run(("config",))[0] == 2
    assert trial.run(("ls", "s3://b/"))[0] == 2


def test_credentials_that_are_half_there_are_not_repeated(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert trial.run(("ls", "s3://b/"))[0] == 2
    trial.planted[1].write_text(f"[canary]\naws_secret_access_key = {canaries.PROFILE_SECRET}\n")
    assert trial.run(("ls", "profiled://b/"))[0] == 2
    trial.planted[1].write_text(f"canary {canaries.PROFILE_SECRET}\n")
    assert trial.run(("ls", "profiled://b/"))[0] == 2


# --- bugs ------------------------------------------------------------------------------------------------------------


def test_no_secret_comes_out_of_a_crash(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> Any:
        raise KeyError(f"https://x/?X-Amz-Signature={canaries.URL_SIGNATURE}", {"session_token": canaries.TOKEN})

    trial.run(("mb", "s3://{bucket}"))
    for method in ("start", "store", "submit"):
        with monkeypatch.context() as patch:
            patch.setattr(Brigade, method, crash)
            crashed = 0
            for verb, _ in verbs():
                for line in LINES.get(verb, ())[:1] if verb != "demo" else ():
                    code, said = trial.run(line)
                    crashed += code == 1 and b"Traceback" in said
            assert crashed
    trial.search_files()


# --- processes and files ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_process_of_a_run_has_a_secret_on_its_command_line(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIGADE_ENGINE__BATCH_SIZE", "10")
    for number in range(200):
        (trial.folder / "tree" / f"f{number}").write_bytes(b"x")
    trial.run(("mb", "s3://{bucket}"))
    words = trial.fill(("cp", "{folder}/tree/", "s3://{bucket}/p/", "--processes", "2"))
    log = trial.folder / "run.log"
    seen: set[bytes] = set()
    with log.open("wb") as output:
        run = subprocess.Popen([sys.executable, "-m", "bucket_brigade", *words], stdout=output, stderr=output)
        while run.poll() is None:
            seen |= command_lines(run.pid)
            time.sleep(0.01)
    said = log.read_bytes()
    assert run.returncode == 0, said[-2000:].decode()
    assert not found_in(said)
    assert not found_in(b"\n".join(seen))
    assert any(b"bucket_brigade.engine.process" in line for line in seen), seen


def command_lines(parent: int) -> set[bytes]:
    """Return the command lines of a process and of its children."""
    lines = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{name}/stat").read_text()
            if parent in (int(name), int(status.rpartition(")")[2].split()[1])):
                lines.add(Path(f"/proc/{name}/cmdline").read_bytes())
    return lines
