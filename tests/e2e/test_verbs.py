"""Every verb as a user types it: what it prints, what it leaves, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.e2e.conftest import Command

FILES = {"a.jpg": b"1" * 5000, "b.txt": b"two", "deep/er/c.txt": b"", "with space+plus%20.txt": b"awkward"}


def write_tree(brigade: Command, folder: str = "src") -> None:
    for name, content in FILES.items():
        brigade.write(os.path.join(folder, name), content)


def test_a_tree_goes_up_is_copied_and_comes_down_unchanged(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade("cp", "src", f"{bucket}/up/")
    assert brigade.keys(f"{bucket}/up/") == sorted(f"up/{name}" for name in FILES)
    copied = brigade("cp", f"{bucket}/up/", f"{bucket}/copy/", "--json").document
    assert copied["counters"]["done"] == len(FILES)
    assert (copied["state"], copied["exit_code"], copied["operation"]) == ("done", 0, "copy")
    assert os.path.isfile(copied["reports"]["report"])
    brigade("cp", f"{bucket}/copy/", "back")
    assert brigade.tree("back") == FILES


def test_a_hashed_upload_comes_back_under_its_own_names(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade("cp", "src", f"{bucket}/up/", "--layout", "hashed", "--catalog", "names.gz")
    stored = brigade.keys(f"{bucket}/up/")
    assert f"up/{'b.txt'}" not in stored
    logical = brigade("ls", "--logical", "--recursive", "--json", f"{bucket}/up/").documents
    assert {row["key"] for row in logical} == set(FILES)
    listed = brigade("ls", "--catalog", "names.gz", "--recursive", "--json").documents
    assert {row["key"] for row in listed} == {f"up/{name}" for name in FILES}
    found = brigade("lookup", "--catalog", "names.gz", "up/b.txt", "--json").documents[0]
    assert found["stored"] in stored
    assert brigade("lookup", "--prefix", "up/", found["stored"], "--json").documents[0]["logical"] == "up/b.txt"
    brigade("cp", f"{bucket}/up/", "back", "--catalog", "names.gz")
    assert brigade.tree("back") == FILES


def test_dryrun_prints_every_transfer_and_changes_nothing(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    rows = brigade("cp", "src", f"{bucket}/up/", "--dryrun", "--json").documents
    assert {row["target"] for row in rows} == {f"{bucket}/up/{name}" for name in FILES}
    assert {row["size"] for row in rows} == {len(content) for content in FILES.values()}
    assert brigade.keys(f"{bucket}/") == []
    assert brigade("jobs", "--json").out == ""
    brigade("cp", "src", f"{bucket}/up/", "--quiet")
    text = brigade("rm", "--recursive", f"{bucket}/up/", "--dryrun").out
    assert text.splitlines()[0] == f"(dryrun) delete: {bucket}/up/a.jpg"
    assert len(brigade.keys(f"{bucket}/up/")) == len(FILES)


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (["--exclude", "*", "--include", "*.txt"], {"b.txt", "deep/er/c.txt", "with space+plus%20.txt"}),
        (["--include", "*.txt", "--exclude", "*"], set()),
        (["--exclude", "*.txt", "--include", "b*", "--exclude", "*.jpg"], {"b.txt"}),
        (
            ["--exclude", "*", "--include", "*", "--max-size", "1KiB"],
            {"b.txt", "deep/er/c.txt", "with space+plus%20.txt"},
        ),
    ],
)
def test_of_includes_and_excludes_the_last_that_matches_decides(
    brigade: Command, rules: list[str], names: set[str]
) -> None:
    write_tree(brigade)
    brigade("mb", "s3://e2e-rules", code=None)
    rows = brigade("cp", "src", "s3://e2e-rules/", "--dryrun", "--json", *rules, code=None).documents
    assert {row["target"].removeprefix("s3://e2e-rules/") for row in rows} == names


def test_an_object_passes_through_standard_streams(brigade: Command, bucket: str) -> None:
    brigade("cp", "-", f"{bucket}/piped", stdin=b"hello\x00world")
    out = brigade("cp", f"{bucket}/piped", "-")
    assert out.out == "hello\x00world"
    assert brigade("cat", f"{bucket}/piped").out == "hello\x00world"


def test_cat_gives_ranges(brigade_on_moto: Command) -> None:
    brigade = brigade_on_moto
    brigade("mb", "s3://e2e-cat", code=None)
    brigade("cp", "-", "s3://e2e-cat/x", stdin=b"0123456789")
    assert brigade("cat", "s3://e2e-cat/x", "--range", "2-4").out == "234"
    assert brigade("cat", "s3://e2e-cat/x", "--range", "-3").out == "789"
    assert brigade("cat", "s3://e2e-cat/x", "--range", "99-", code=2).out == ""


def test_ls_shows_buckets_levels_and_totals(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade("cp", "src", f"{bucket}/", "--quiet")
    assert bucket.removeprefix("s3://") in {row["bucket"] for row in brigade("ls", "--json").documents}
    lines = brigade("ls", f"{bucket}/", "--summarize").out.splitlines()
    assert "                           PRE deep/" in lines
    assert any(line.endswith("       5000 a.jpg") for line in lines)
    assert lines[-2:] == ["Total Objects: 3", "   Total Size: 5010"]
    assert "4.9 KiB" in brigade("ls", f"{bucket}/a.jpg", "--human-readable").out


def test_ls_into_a_closed_pipe_ends_quietly(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade("cp", "src", f"{bucket}/", "--quiet")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*brigade.start_words, "ls", "--recursive", f"{bucket}/"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=brigade.environment,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_many_objects_are_deleted_only_when_confirmed(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade("cp", "src", f"{bucket}/up/", "--quiet")
    assert "--yes" in brigade("rm", f"{bucket}/up/", code=2).err
    assert "--yes" in brigade("rb", bucket, "--force", code=2).err
    assert len(brigade.keys(f"{bucket}/")) == len(FILES)
    brigade("rm", f"{bucket}/up/a.jpg")
    brigade("rm", f"{bucket}/up/", "--exclude", "*", "--include", "b.txt", "--yes")
    assert brigade.keys(f"{bucket}/") == ["up/deep/er/c.txt", "up/with space+plus%20.txt"]


def test_a_bucket_that_is_not_empty_is_removed_by_force_only(brigade: Command) -> None:
    brigade("mb", "s3://e2e-full")
    brigade("cp", "-", "s3://e2e-full/x", stdin=b"x")
    assert "--force" in brigade("rb", "s3://e2e-full", code=2).err
    assert brigade("rb", "s3://e2e-full", "--force", "--yes", "--json").document["removed"] == "s3://e2e-full"
    assert brigade("ls", "s3://e2e-full", code=2).out == ""


def test_mv_leaves_nothing_at_the_source(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade("mv", "src", f"{bucket}/up/")
    assert brigade.tree("src") == {}
    assert brigade.keys(f"{bucket}/up/") == sorted(f"up/{name}" for name in FILES)


def test_a_job_file_runs_and_asks_before_it_deletes(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade.write("up.toml", f'verb = "cp"\nsource = "src"\ntarget = "{bucket}/up/"\n'.encode())
    brigade.write("down.toml", f'verb = "rm"\nsource = "{bucket}/up/"\n'.encode())
    assert brigade("run", "up.toml", "--json").document["counters"]["done"] == len(FILES)
    assert brigade("resume", "--or-run", "up.toml", "--json").document["counters"]["done"] == len(FILES)
    brigade("run", "down.toml", code=2)
    brigade("run", "down.toml", "--yes")
    assert brigade.keys(f"{bucket}/") == []


def test_jobs_status_and_report_tell_what_was_done(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    job_id = brigade("cp", "src", f"{bucket}/up/", "--json").document["job_id"]
    (row,) = brigade("jobs", "--json").documents
    assert (row["job_id"], row["state"], row["counters"]["done"]) == (job_id, "done", len(FILES))
    assert job_id in brigade("jobs").out
    assert brigade("status", "--json").document["job_id"] == job_id
    assert f"done       {len(FILES)} of {len(FILES)}" in brigade("status", job_id[:-1]).out
    reports = brigade("report", job_id, "--all", "--json").document["reports"]
    assert all(os.path.getsize(path) for path in reports.values())
    assert "is over" in brigade("resume", job_id, code=2).err


def test_some_failed_objects_are_exit_3_and_named(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    brigade("cp", "src", f"{bucket}/up/", "--quiet")
    os.makedirs(brigade.path("back", "b.txt", "in the way"))
    ended = brigade("cp", f"{bucket}/up/", "back", "--json", code=3)
    assert [failure["source"] for failure in ended.document["failures"]] == ["up/b.txt"]
    assert ended.document["counters"]["done"] == len(FILES) - 1
    os.rmdir(brigade.path("back", "b.txt", "in the way"))
    os.rmdir(brigade.path("back", "b.txt"))
    assert "--retry-failed" in brigade("resume", ended.document["job_id"], code=2).err
    brigade("resume", "--retry-failed", "--quiet")
    assert brigade.tree("back") == FILES


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_the_command_that_resumes(brigade: Command, bucket: str, number: signal.Signals) -> None:
    for index in range(3000):
        brigade.write(f"many/{index % 30}/{index}", b"x" * 100)
    state = brigade.path("other state")
    words = ["cp", "many", f"{bucket}/many/", "--state-dir", state, "--concurrency", "1", "--processes", "1"]
    running = brigade.start(*words)
    assert running.stderr is not None
    while b"planning finished" not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(number)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130, error.decode()
    last = error.decode().splitlines()[-1]
    assert last.startswith("brigade resume ")
    assert last.endswith(f" --state-dir '{state}'")
    assert brigade("status", "--state-dir", state, "--json").document["state"] == "interrupted"
    done = subprocess.run(
        last, shell=True, env=brigade.environment, cwd=brigade.folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(brigade.keys(f"{bucket}/many/")) == 3000


def test_the_demo_shows_everything_and_leaves_nothing(brigade: Command) -> None:
    temporary = brigade.path("tmp")
    os.makedirs(temporary)
    shown = brigade("demo", TMPDIR=temporary)
    assert "are equal" in shown.out
    assert os.listdir(temporary) == []
    assert not os.path.exists(brigade.path("state"))


def test_abandoned_uploads_are_listed_then_aborted(brigade_on_moto: Command) -> None:
    brigade = brigade_on_moto
    brigade("mb", "s3://e2e-gc", code=None)
    assert brigade("gc", "s3://e2e-gc", "--json").out == ""
    assert brigade("gc", "s3://e2e-gc", "--older-than", "0", "--yes").out.startswith("0 multipart uploads aborted")


def test_quiet_and_only_show_errors_print_nothing_of_a_success(brigade: Command, bucket: str) -> None:
    write_tree(brigade)
    for flag in ("--quiet", "--only-show-errors"):
        done = brigade("cp", "src", f"{bucket}/{flag}/", flag)
        assert (done.out, done.err) == ("", "")


def test_the_log_is_json_lines_where_stderr_is_no_terminal(brigade: Command, bucket: str) -> None:
    import json

    write_tree(brigade)
    done = brigade("cp", "src", f"{bucket}/", "--log-level", "debug")
    events = [json.loads(line) for line in done.err.splitlines()]
    assert events[0]["event"] == "job started"
    assert {event["source"] for event in events if event["event"] == "transfer finished"} == set(FILES)
    assert done.err.count(brigade.environment["AWS_SECRET_ACCESS_KEY"]) == 0


def test_completion_scripts_are_printed(brigade: Command) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_BRIGADE_COMPLETE" in brigade("completion", shell).out
    suggested = brigade(code=None, _BRIGADE_COMPLETE="bash_complete", COMP_WORDS="brigade re", COMP_CWORD="1").out
    assert {"plain,resume", "plain,report"} <= set(suggested.split())


def test_config_tells_values_and_origins_but_no_secret(brigade: Command) -> None:
    shown = brigade("config", "--memory", "128MiB", "--json").document
    assert shown["engine.memory_bytes"] == {"value": 128 << 20, "origin": "flag --memory"}
    assert shown["state_dir"]["origin"] == "environment BRIGADE_STATE_DIR"
    assert shown["endpoints.s3.secret_access_key"]["value"] == "***"
    assert brigade.environment["AWS_SECRET_ACCESS_KEY"] not in brigade("config").out
