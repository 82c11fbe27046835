import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.location import LocalPath, Location, S3Location, StandardStream
from bucket_brigade.settings.locations import Role, parse_location, resolve_single_target, resolve_target, root_of

ENDPOINTS = ("s3", "minio")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def parse(text: str, *, recursive: bool = False, role: Role = "source", version_id: str | None = None) -> Location:
    return parse_location(text, endpoints=ENDPOINTS, recursive_flag=recursive, role=role, version_id=version_id)


def refused(text: str, *, recursive: bool = False, role: Role = "source", version_id: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, recursive=recursive, role=role, version_id=version_id)
    assert caught.value.remedy
    return f"{caught.value} | {caught.value.remedy}"


def s3(bucket: str, key: str = "", *, recursive: bool = False, pattern: str = "", endpoint: str = "s3") -> S3Location:
    return S3Location(endpoint=endpoint, bucket=bucket, key=key, recursive=recursive, pattern=pattern)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b/k", s3("b", "k")),
        ("s3://b/a/k.gz", s3("b", "a/k.gz")),
        ("s3://b/a/", s3("b", "a/", recursive=True)),
        ("s3://b/", s3("b", recursive=True)),
        ("minio://b/k", s3("b", "k", endpoint="minio")),
        ("s3://", s3("")),
        ("s3://b//k", s3("b", "/k")),
        ("s3://b//", s3("b", "/", recursive=True)),
        ("s3://b/../x y%20z+#&=", s3("b", "../x y%20z+#&=")),
        ("s3://b/ключ", s3("b", "ключ")),
        ("s3://b/a/*.gz", s3("b", "a/", recursive=True, pattern="*.gz")),
        ("s3://b/logs/2026-*/x", s3("b", "logs/2026-", recursive=True, pattern="*/x")),
        ("s3://b/a?", s3("b", "a", recursive=True, pattern="?")),
        ("s3://b/[ab]c", s3("b", recursive=True, pattern="[ab]c")),
        ("s3://b/*/", s3("b", recursive=True, pattern="*/*")),
        ("s3://b/a[b", s3("b", "a[b")),
        ("s3://b/a]b", s3("b", "a]b")),
        ("s3://b/a[*]b[?]c[[]d", s3("b", "a*b?c[d")),
        ("s3://b/a[*]/", s3("b", "a*/", recursive=True)),
        ("s3://b/a[*]b*", s3("b", "a*b", recursive=True, pattern="*")),
        ("s3://b/a*[*]", s3("b", "a", recursive=True, pattern="*[*]")),
        (
            "s3://arn:aws:s3:us-west-2:123456789012:accesspoint/mine/a/k",
            s3("arn:aws:s3:us-west-2:123456789012:accesspoint/mine", "a/k"),
        ),
        ("-", StandardStream()),
    ],
)
def test_urls_are_read_as_they_are_typed(text: str, expected: Location) -> None:
    assert parse(text) == expected


def test_the_recursive_flag_makes_a_folder_of_a_key_as_in_aws_s3() -> None:
    assert parse("s3://b/pre", recursive=True) == s3("b", "pre/", recursive=True)
    assert parse("s3://b/pre/", recursive=True) == s3("b", "pre/", recursive=True)
    assert parse("s3://b", recursive=True) == s3("b", recursive=True)
    assert parse("s3://b/pre*", recursive=True) == s3("b", "pre", recursive=True, pattern="*")


def test_a_listing_may_begin_in_mid_name_and_at_a_bare_bucket() -> None:
    assert parse("s3://b/pre", role="listing") == s3("b", "pre")
    assert parse("s3://b/pre", role="listing", recursive=True) == s3("b", "pre", recursive=True)
    assert parse("s3://b", role="listing") == s3("b", recursive=True)


def test_a_bare_bucket_is_a_target_but_no_source() -> None:
    assert parse("s3://b", role="target") == s3("b", recursive=True)
    assert "Write s3://b/ for everything" in refused("s3://b")


def test_a_version_belongs_to_one_object() -> None:
    assert parse("s3://b/k", version_id="v1") == S3Location(bucket="b", key="k", version_id="v1")
    for text in ("s3://b/k/", "s3://b/*", "s3://", "file", "-"):
        assert "--version-id" in refused(text, version_id="v1")
    assert "--version-id" in refused("s3://b/k", version_id="")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mino://b/k", "Did you mean minio://b/k?"),
        ("S3://b/k", "Did you mean s3://b/k?"),
        ("gs://b/k", "[endpoints.gs]"),
        ("file:///tmp/x", "Write the path itself: /tmp/x"),
        ("https://b.s3.amazonaws.com/k", "s3://bucket/key"),
        ("s3:///k", "names no bucket"),
        ("s3://b*/k", "name of a bucket"),
        ("s3://b b/k", "name of a bucket"),
        ("s3:b/k", "Write s3://b/k"),
        ("s3:/b/k", "Write s3://b/k"),
        ("minio:b", "./minio:b"),
        ("s3://b/k?versionId=3", "--version-id"),
        ("~/x", "in full"),
        ("", "empty"),
        ("a\0b", "NUL"),
        ("s3://b/" + "é" * 513, "1,026 bytes"),
        ("s3://b/\udcff", "not UTF-8"),
    ],
)
def test_what_is_wrong_or_ambiguous_says_how_to_say_it(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_key_of_1024_bytes_is_one_and_a_stream_is_no_folder() -> None:
    assert parse("s3://b/" + "k" * 1024) == s3("b", "k" * 1024)
    assert "--recursive" in refused("-", recursive=True)


def test_a_target_cannot_be_a_pattern() -> None:
    for text in ("s3://b/*", "s3://b/a?/", "a/*.gz"):
        assert "[*]" in refused(text, role="target")
    assert parse("s3://b/a[*]", role="target") == s3("b", "a*")
    assert parse("s3://b/report[1].pdf", role="target") == s3("b", "report[1].pdf")


def test_a_folder_on_disk_is_recursive_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert parse("folder") == LocalPath(path=f"{tmp_path}/folder", recursive=True)
    assert parse("folder/") == LocalPath(path=f"{tmp_path}/folder", recursive=True)
    assert parse("file") == LocalPath(path=f"{tmp_path}/file")
    assert parse("./folder/../file") == LocalPath(path=f"{tmp_path}/file")
    assert parse(".") == LocalPath(path=str(tmp_path), recursive=True)
    assert parse("/") == LocalPath(path="/", recursive=True)
    assert parse("//") == LocalPath(path="/", recursive=True)


def test_what_is_not_on_disk_is_a_folder_if_it_says_so() -> None:
    here = os.getcwd()
    assert parse("new/", role="target") == LocalPath(path=f"{here}/new", recursive=True)
    assert parse("new", role="target", recursive=True) == LocalPath(path=f"{here}/new", recursive=True)
    assert parse("new", role="target") == LocalPath(path=f"{here}/new")


def test_a_file_with_a_trailing_slash_or_recursive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not a folder" in refused("file/")
    assert "not a folder" in refused("file", recursive=True)


def test_a_local_pattern_hangs_below_its_folder(tmp_path: Path) -> None:
    assert parse("logs/2026-*.gz") == LocalPath(path=f"{tmp_path}/logs", recursive=True, pattern="2026-*.gz")
    assert parse("*.gz") == LocalPath(path=str(tmp_path), recursive=True, pattern="*.gz")
    assert parse("/*.gz") == LocalPath(path="/", recursive=True, pattern="*.gz")
    assert parse("a[*]b*") == LocalPath(path=str(tmp_path), recursive=True, pattern="a[*]b*")
    assert parse("dir*/") == LocalPath(path=str(tmp_path), recursive=True, pattern="dir*/*")


def test_a_file_whose_name_looks_like_a_pattern_or_url_is_that_file(tmp_path: Path) -> None:
    for name in ("report[1].pdf", "what?", "s3:x", "~"):
        (tmp_path / name).touch()
        assert parse(name) == LocalPath(path=f"{tmp_path}/{name}")


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0*?["), min_size=1, max_size=200))
def test_a_key_without_glob_characters_is_taken_byte_for_byte(key: str) -> None:
    location = parse("s3://b/" + key)
    assert isinstance(location, S3Location)
    assert (location.key, location.pattern, location.recursive) == (key, "", key.endswith("/"))


@given(st.text(st.sampled_from("*?[]!ab/"), min_size=1, max_size=12))
def test_every_key_can_be_named_by_escaping_it(key: str) -> None:
    escaped = "".join(f"[{character}]" if character in "*?[" else character for character in key)
    location = parse("s3://b/" + escaped)
    assert isinstance(location, S3Location)
    assert (location.key, location.pattern) == (key, "")


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (s3("b", "a/k.gz"), s3("t", "p/", recursive=True), s3("t", "p/k.gz")),
        (s3("b", "a/k.gz"), s3("t", recursive=True), s3("t", "k.gz")),
        (s3("b", "a/k.gz"), s3("t", "p"), s3("t", "p")),
        (s3("b", "a/k.gz"), LocalPath(path="/d", recursive=True), LocalPath(path="/d/k.gz")),
        (s3("b", "a/k.gz"), LocalPath(path="/d"), LocalPath(path="/d")),
        (s3("b", "a/k.gz"), StandardStream(), StandardStream()),
        (LocalPath(path="/d/f.txt"), s3("t", "p/", recursive=True), s3("t", "p/f.txt")),
        (StandardStream(), s3("t", "p"), s3("t", "p")),
    ],
)
def test_one_object_into_a_folder_keeps_its_name(source: Location, target: Location, expected: Location) -> None:
    assert resolve_single_target(source, target) == expected
    assert resolve_target(source, target) == expected


@pytest.mark.parametrize("source", [StandardStream(), s3("b", "a/.."), s3("b", "a/.")])
def test_one_object_without_a_name_needs_a_full_target(source: Location) -> None:
    with pytest.raises(ConfigError, match="no name to append"):
        resolve_single_target(source, LocalPath(path="/d", recursive=True))


def test_many_objects_make_a_folder_of_their_target(tmp_path: Path) -> None:
    many = s3("b", "a/", recursive=True)
    assert resolve_target(many, s3("t", "p")) == s3("t", "p/", recursive=True)
    assert resolve_target(many, s3("t", recursive=True)) == s3("t", recursive=True)
    assert resolve_target(many, LocalPath(path=f"{tmp_path}/new")) == LocalPath(path=f"{tmp_path}/new", recursive=True)
    (tmp_path / "file").touch()
    for target in (LocalPath(path=f"{tmp_path}/file"), StandardStream()):
        with pytest.raises(ConfigError):
            resolve_target(many, target)


def test_names_are_relative_to_the_last_slash() -> None:
    assert root_of(s3("b", "logs/2026-", recursive=True, pattern="*")) == "logs/"
    assert root_of(s3("b", "a/b/", recursive=True)) == "a/b/"
    assert root_of(s3("b", "", recursive=True)) == ""
