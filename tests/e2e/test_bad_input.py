"""Wrong input ends with 2, one line on what is wrong and one on what to do, and nothing has changed."""

from __future__ import annotations

import os

import pytest

from tests.e2e.conftest import Command, Ended

NO_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "",
    "AWS_SECRET_ACCESS_KEY": "",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}


def is_explained(ended: Ended) -> bool:
    """One line that says what is wrong, one indented line that says what to do, and no result."""
    lines = ended.err.splitlines()
    return ended.out == "" and len(lines) == 2 and lines[0].startswith("brigade: ") and lines[1].startswith("  ")


@pytest.fixture
def src(brigade: Command) -> Command:
    brigade.write("src/a.txt", b"a")
    brigade.write("file", b"x")
    return brigade


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cp", "src", "s3://Not_A_Bucket!/"], "bucket"),
        (["cp", "src", "s3//b/x"], ""),
        (["cp", "src", "s4://b/x/"], "s4"),
        (["cp", "src", "https://example.com/x"], "web address"),
        (["cp", "nowhere", "s3://b/x/"], "nowhere"),
        (["cp", "src", "elsewhere"], "both sides"),
        (["cp", "src", "s3://b/x/", "--part-size", "1KiB"], "--part-size"),
        (["cp", "src", "s3://b/x/", "--part-size", "6GiB"], "--part-size"),
        (["cp", "src", "s3://b/x/", "--memory", "lots"], "--memory"),
        (["cp", "src", "s3://b/x/", "--metadata", "nonsense"], "--metadata"),
        (["cp", "src", "s3://b/x/", "--newer-than", "yesterday-ish"], "--newer-than"),
        (["cp", "src", "s3://b/x/", "--profile", "nobody"], "nobody"),
        (["cp", "src", "s3://b/x/", "--config", "missing.toml"], "missing.toml"),
        (["cp", "src", "s3://b/x/", "--endpoint-url", "http://169.254.169.254/"], "metadata"),
        (["cp", "src", "s3://b/x/", "--endpoint-url", "http://s3.example.com"], "http"),
        (["cp", "src"], "TARGET"),
        (["cp", "src", "s3://b/x/", "--inclde", "*"], "--include"),
        (["run", "missing.toml"], "missing.toml"),
        (["resume"], "interrupted"),
        (["resume", "nosuchjob"], "nosuchjob"),
        (["status"], "no jobs"),
        (["mb", "s3://UPPER"], "UPPER"),
        (["mb", "s3://bucket/key"], "not a bucket"),
        (["ls", "src"], "not in a bucket"),
        (["cat", "s3://b/prefix/"], "not one object"),
        (["gc", "s3://"], "names no bucket"),
        (["lookup", "x", "--catalog", "missing.gz"], "missing.gz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_are_refused(src: Command, arguments: list[str], says: str) -> None:
    ended = src(*arguments, code=2)
    assert is_explained(ended), ended.err
    assert says in ended.err
    assert not os.path.exists(src.path("state", "jobs"))


def test_no_credentials(src: Command) -> None:
    ended = src("cp", "src", "s3://b/x/", code=2, **NO_CREDENTIALS)
    assert is_explained(ended), ended.err
    assert "credentials" in ended.err


def test_wrong_credentials_do_not_show_themselves(src: Command, bucket: str) -> None:
    ended = src("cp", "src", f"{bucket}/x/", code=None, AWS_SECRET_ACCESS_KEY="wrong-and-secret")
    assert ended.code in (2, 3)
    assert "SignatureDoesNotMatch" in ended.err
    assert "wrong-and-secret" not in ended.out + ended.err


def test_a_missing_bucket_names_the_command_that_makes_it(src: Command) -> None:
    ended = src("cp", "src", "s3://e2e-no-such-bucket/x/", code=2)
    assert is_explained(ended), ended.err
    assert "brigade mb s3://e2e-no-such-bucket" in ended.err


def test_a_missing_object_or_prefix(src: Command, bucket: str) -> None:
    for arguments in (
        ["cp", f"{bucket}/none", "."],
        ["cp", f"{bucket}/none/", "back", "--quiet"],
        ["rm", f"{bucket}/none/", "--yes", "--quiet"],
        ["cat", f"{bucket}/none"],
        ["ls", f"{bucket}/none"],
    ):
        ended = src(*arguments, code=2)
        assert is_explained(ended), (arguments, ended.err)


def test_filters_that_leave_nothing(src: Command, bucket: str) -> None:
    ended = src("cp", "src", f"{bucket}/x/", "--exclude", "*", "--quiet", code=2)
    assert is_explained(ended), ended.err


def test_a_source_inside_its_own_target(src: Command, bucket: str) -> None:
    src("cp", "src", f"{bucket}/x/", "--quiet")
    for arguments in (["cp", f"{bucket}/x/", f"{bucket}/x/"], ["mv", f"{bucket}/x/", f"{bucket}/x/y/"]):
        ended = src(*arguments, code=2)
        assert is_explained(ended), (arguments, ended.err)
    assert src.keys(f"{bucket}/") == ["x/a.txt"]


def test_a_target_that_is_a_file(src: Command, bucket: str) -> None:
    src("cp", "src", f"{bucket}/x/", "--quiet")
    ended = src("cp", f"{bucket}/x/", "file", code=2)
    assert is_explained(ended), ended.err
    with open(src.path("file"), "rb") as file:
        assert file.read() == b"x"


def test_a_broken_manifest_names_its_line(src: Command, bucket: str) -> None:
    name = bucket.removeprefix("s3://")
    src.write("list.csv", f"{name},a\n{name},b\nbroken\n".encode())
    ended = src("cp", f"{bucket}/", "back", "--manifest", "list.csv", code=2)
    assert is_explained(ended), ended.err
    assert "line 3" in ended.err
    assert not os.path.exists(src.path("back"))


def test_an_unknown_key_in_the_configuration_names_the_nearest(src: Command) -> None:
    src.write("wrong.toml", b"[engine]\nconcurency = 3\n")
    ended = src("cp", "src", "s3://b/x/", "--config", "wrong.toml", code=2)
    assert is_explained(ended), ended.err
    assert "concurrency" in ended.err
    ended = src("ls", code=2, BRIGADE_ENGINE__CONCURENCY="3")
    assert "BRIGADE_" in ended.err
