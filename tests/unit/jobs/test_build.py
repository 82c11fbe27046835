"""Bad input ends as a ConfigError that says what is wrong and what to do, before anything has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.build import build_job, new_job_id
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import (
    EndpointOverrides,
    Filters,
    Job,
    LayoutName,
    ObjectAttributes,
    Operation,
    TransferOptions,
)
from bucket_brigade.model.location import LocalPath, S3Location, StandardStream
from bucket_brigade.model.parts import GIB, MIB
from bucket_brigade.planning.catalog import CatalogHeader, CatalogWriter
from bucket_brigade.settings.values import EndpointSettings, Settings

SETTINGS = Settings(
    endpoints={
        "s3": EndpointSettings(),
        "mini": EndpointSettings(name="mini", endpoint_url="https://mini.example"),
        "mini2": EndpointSettings(name="mini2", endpoint_url="https://mini.example", region="eu-west-1"),
        "same": EndpointSettings(name="same", endpoint_url="https://mini.example", profile="other"),
    },
    state_dir="/nowhere",
)


def build(verb: str, source: str, target: str = "", **fields: Any) -> Job:
    return build_job(JobRequest(verb=verb, source=source, target=target, **fields), SETTINGS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/f").write_bytes(b"1")
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "good.csv").write_text("b,p/a\n")
    (tmp_path / "broken.csv").write_text("b,p/a\nb,p/b%zz\n")
    (tmp_path / "empty.csv").write_text("\n")
    (tmp_path / "sized.csv").write_text("bucket,key,size\nb,p/a,3\nb,p/b,\n")
    return tmp_path


def parts(size: int) -> TransferOptions:
    return TransferOptions(part_size_bytes=size)


BAD: list[tuple[str, tuple[str, ...], dict[str, Any], str]] = [
    ("no target", ("cp", "s3://b/k"), {}, "needs a target"),
    ("both local", ("cp", "folder", "elsewhere/"), {}, "both sides are local"),
    ("both streams", ("cp", "-", "-"), {}, "both sides are local"),
    ("missing source", ("cp", "nothing", "s3://b/"), {}, "does not exist"),
    ("missing folder", ("cp", "nothing/", "s3://b/"), {}, "does not exist"),
    ("FIFO as source", ("cp", "fifo", "s3://b/k"), {}, "no regular file"),
    ("link as source", ("cp", "link", "s3://b/k"), {}, "symbolic link"),
    ("unknown endpoint", ("cp", "folder", "mimi://b/"), {}, "no endpoint is called mimi"),
    ("bad bucket", ("cp", "folder", "s3://b*d/p/"), {}, "cannot be the name of a bucket"),
    ("no bucket", ("cp", "folder", "s3:///k"), {}, "names no bucket"),
    ("whole bucket unsaid", ("cp", "s3://b", "folder"), {}, "whole bucket"),
    ("web address", ("cp", "https://x/y", "folder"), {}, "web address"),
    ("target is a file", ("cp", "s3://b/p/", "file"), {}, "is a file"),
    ("many to stdout", ("cp", "s3://b/p/", "-"), {}, "standard output"),
    ("stdin into a prefix", ("cp", "-", "s3://b/p/"), {}, "no name"),
    ("pattern as target", ("cp", "folder", "s3://b/*"), {}, "pattern"),
    ("source onto itself", ("cp", "s3://b/p/", "s3://b/p/"), {}, "onto itself"),
    ("object onto itself", ("cp", "s3://b/k", "s3://b/k"), {}, "onto itself"),
    ("target inside source", ("cp", "s3://b/p/", "s3://b/p/q/"), {}, "lies inside"),
    ("target inside source by another profile", ("cp", "mini://b/p/", "same://b/p/q/"), {}, "lies inside"),
    ("move into the same place", ("mv", "s3://b/p/", "s3://b/p/"), {"layout": LayoutName.HASHED}, "lies inside"),
    ("moving a stream", ("mv", "-", "s3://b/k"), {}, "cannot be moved"),
    ("removing files", ("rm", "folder"), {}, "not in a bucket"),
    ("part too small", ("cp", "folder", "s3://b/"), {"options": parts(4 * MIB)}, "part size"),
    ("part too large", ("cp", "folder", "s3://b/"), {"options": parts(6 * GIB)}, "part size"),
    ("threshold", ("cp", "folder", "s3://b/"), {"options": TransferOptions(multipart_threshold_bytes=0)}, "threshold"),
    ("copy limit", ("cp", "s3://b/k", "s3://c/k"), {"options": TransferOptions(copy_limit_bytes=6 * GIB)}, "limit"),
    ("manifest for files", ("cp", "folder", "s3://b/"), {"manifest": "good.csv"}, "not a bucket"),
    ("missing manifest", ("cp", "s3://b/", "s3://c/"), {"manifest": "none.csv"}, "cannot read"),
    ("broken manifest", ("cp", "s3://b/", "s3://c/"), {"manifest": "broken.csv"}, "line 2"),
    ("empty manifest", ("cp", "s3://b/", "s3://c/"), {"manifest": "empty.csv"}, "names no object"),
    ("manifest format", ("cp", "s3://b/", "s3://c/"), {"manifest": "good.csv", "manifest_format": "xml"}, "xml"),
    (
        "sizes that a manifest does not tell",
        ("cp", "s3://b/", "s3://c/"),
        {"manifest": "sized.csv", "filters": Filters(min_size=1)},
        "line 3: it tells no size",
    ),
    (
        "times that a manifest does not tell",
        ("cp", "s3://b/", "s3://c/"),
        {"manifest": "good.csv", "filters": Filters(modified_after_ns=1)},
        "manifest does not tell when",
    ),
    ("layout on disk", ("cp", "s3://b/p/", "folder/"), {"layout": LayoutName.HASHED}, "--layout hashed"),
    ("layout of one object", ("cp", "file", "s3://b/k"), {"layout": LayoutName.RANDOM}, "--layout random"),
    ("catalog of a delete", ("rm", "s3://b/p/"), {"catalog": "c.gz"}, "writes no catalog"),
    ("catalog is a folder", ("cp", "folder", "s3://b/"), {"catalog": "folder/"}, "not one file"),
    ("catalog without a folder", ("cp", "folder", "s3://b/"), {"catalog": "none/c.gz"}, "no folder for the catalog"),
    ("missing catalog", ("cp", "s3://b/p/", "folder/"), {"catalog": "none.gz"}, "none.gz"),
    ("no catalog at all", ("cp", "s3://b/p/", "folder/"), {"catalog": "file"}, "file"),
    ("version of many", ("cp", "s3://b/p/", "folder/"), {"version_id": "v"}, "one object"),
    ("empty source", ("cp", "", "s3://b/"), {}, "empty"),
    ("bad override", ("cp", "file", "s3://b/"), {"target_endpoint": EndpointOverrides(addressing="odd")}, "addressing"),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("words", "fields", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_is_refused_with_a_remedy(words: tuple[str, ...], fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(*words, **fields)
    assert says in str(caught.value)
    assert caught.value.remedy
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("folder", "s3://b/p/", Operation.UPLOAD),
        ("-", "s3://b/k", Operation.UPLOAD),
        ("s3://b/p/", "folder/", Operation.DOWNLOAD),
        ("s3://b/k", "-", Operation.DOWNLOAD),
        ("s3://b/p/", "s3://c/p/", Operation.COPY),
        ("mini://b/p/", "mini2://c/p/", Operation.COPY),
        ("mini://b/p/", "same://c/p/", Operation.RELAY),
        ("s3://b/p/", "mini://b/p/", Operation.RELAY),
    ],
)
def test_the_operation_follows_from_the_sides(source: str, target: str, expected: Operation) -> None:
    assert build("cp", source, target).operation is expected


def test_other_credentials_on_one_side_make_a_relay_of_a_copy() -> None:
    overrides = EndpointOverrides(profile="elsewhere")
    assert build("cp", "s3://b/p/", "s3://c/p/", source_endpoint=overrides).operation is Operation.RELAY
    both = build("cp", "s3://b/p/", "s3://c/p/", source_endpoint=overrides, target_endpoint=overrides)
    assert both.operation is Operation.COPY


def test_an_object_may_be_copied_onto_itself_to_change_its_attributes() -> None:
    options = TransferOptions(attributes=ObjectAttributes(storage_class="GLACIER"))
    assert build("cp", "s3://b/p/", "s3://b/p/", options=options).operation is Operation.COPY
    assert build("cp", "s3://b/k", "s3://b/k", options=options).operation is Operation.COPY


def test_a_copy_beside_its_source_is_no_copy_into_it() -> None:
    for target in ("s3://b/p2/", "s3://b/", "s3://c/p/q/"):
        assert build("cp", "s3://b/p/", target).operation is Operation.COPY


@pytest.mark.usefixtures("here")
def test_what_is_journaled_does_not_depend_on_the_folder_it_was_typed_in(here: Path) -> None:
    overrides = EndpointOverrides(ca_bundle="file")
    job = build("cp", "s3://b/", "s3://c/", manifest="good.csv", source_endpoint=overrides, target_endpoint=overrides)
    assert job.manifest is not None
    assert job.manifest.path == str(here / "good.csv")
    assert (job.source_endpoint.ca_bundle, job.target_endpoint.ca_bundle) == (str(here / "file"),) * 2
    assert build("cp", "folder", "s3://b/", catalog="c.gz").catalog == LocalPath(path=str(here / "c.gz"))


@pytest.mark.usefixtures("here")
async def test_a_download_reads_the_catalog_that_others_write(here: Path) -> None:
    async with CatalogWriter(str(here / "c.gz"), CatalogHeader(job_id="j", layout="hashed", bucket="b", prefix="")):
        pass
    down = build("cp", "s3://b/p/", "folder/", catalog="c.gz")
    assert (down.catalog, down.read_catalog) == (None, LocalPath(path=str(here / "c.gz")))
    up = build("cp", "folder", "s3://b/p/", catalog="s3://b/catalogs/c.gz")
    assert (up.catalog, up.read_catalog) == (S3Location(bucket="b", key="catalogs/c.gz"), None)
    with pytest.raises(ConfigError, match="catalog does not tell when"):
        build("cp", "s3://b/p/", "folder/", catalog="c.gz", filters=Filters(modified_before_ns=1))


@pytest.mark.usefixtures("here")
def test_a_link_is_taken_where_links_are_followed_and_sizes_where_they_are_told() -> None:
    options = TransferOptions(follow_symlinks=True)
    assert build("cp", "link", "s3://b/", options=options).target == S3Location(bucket="b", key="link")
    Path("sized.csv").write_text("bucket,key,size\nb,p/a,3\n")
    assert build("cp", "s3://b/", "s3://c/", manifest="sized.csv", filters=Filters(max_size=1)).manifest is not None


def test_streams_are_one_object() -> None:
    assert build("cp", "-", "s3://b/k").source == StandardStream()
    assert build("cp", "s3://b/k", "-").target == StandardStream()


def test_ids_sort_by_time_and_differ() -> None:
    make: Callable[[], str] = new_job_id
    ids = {make() for _ in range(50)}
    assert len(ids) > 45
    assert all(len(one) == len("20261122-140559-7f3a") for one in ids)


def test_a_job_keeps_no_secret() -> None:
    encoded = msgspec.json.encode(build("cp", "s3://b/p/", "mini://c/p/")).decode()
    assert "secret" not in encoded
