import gzip
import itertools
import json
import time
import tracemalloc
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.planning.linefile import MAX_LINE_BYTES
from bucket_brigade.planning.manifest import ManifestEntry, check_manifest, fingerprint, read_manifest

KEYS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)
ENTRIES = st.lists(st.tuples(st.sampled_from(["b", "other-bucket"]), KEYS, st.none() | st.just("v1")), min_size=1)
Row = tuple[str, str, str | None]


def written(tmp_path: Path, content: str | bytes, *, packed: bool = False) -> str:
    raw = content.encode() if isinstance(content, str) else content
    path = tmp_path / ("manifest.gz" if packed else "manifest")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    return str(path)


def rows(path: str, manifest_format: str = "auto", **options: tuple[int, int]) -> list[Row]:
    return [(entry.bucket, entry.key, entry.version_id) for entry in read_manifest(path, manifest_format, **options)]


def refused(path: str, manifest_format: str = "auto") -> str:
    with pytest.raises(ConfigError) as caught:
        check_manifest(path, manifest_format)
    return f"{caught.value} | {caught.value.remedy}"


def as_csv(entries: list[Row], *, plus: bool, quoted: bool) -> str:
    encode = quote_plus if plus else quote
    lines = []
    for bucket, key, version in entries:
        fields = [bucket, encode(key), *([version] if version else [])]
        lines.append(",".join(f'"{field}"' if quoted else field for field in fields))
    return "\n".join(lines)


def as_json_lines(entries: list[Row]) -> str:
    return "".join(json.dumps({"bucket": b, "key": k, "version_id": v}) + "\n" for b, k, v in entries)


@given(ENTRIES, st.booleans(), st.booleans(), st.booleans())
def test_every_key_survives_csv(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Row], plus: bool, quoted: bool, packed: bool
) -> None:
    path = written(tmp_path_factory.getbasetemp(), as_csv(entries, plus=plus, quoted=quoted), packed=packed)
    assert rows(path) == entries
    assert check_manifest(path) == len(entries)


@given(ENTRIES)
def test_every_key_survives_json_lines(tmp_path_factory: pytest.TempPathFactory, entries: list[Row]) -> None:
    path = written(tmp_path_factory.getbasetemp(), as_json_lines(entries))
    assert rows(path) == entries


@given(ENTRIES, st.data(), st.booleans(), st.sampled_from(["csv", "jsonl"]))
def test_reading_goes_on_behind_any_entry(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[Row],
    data: st.DataObject,
    packed: bool,
    manifest_format: str,
) -> None:
    text = (
        as_json_lines(entries)
        if manifest_format == "jsonl"
        else "bucket,key,version\n" + as_csv([(b, k, v or "null") for b, k, v in entries], plus=True, quoted=True)
    )
    path = written(tmp_path_factory.getbasetemp(), text, packed=packed)
    every = list(read_manifest(path))
    cut = data.draw(st.integers(0, len(every) - 1))
    assert list(read_manifest(path, after=every[cut].place)) == every[cut + 1 :]


def test_a_header_names_the_columns(tmp_path: Path) -> None:
    path = written(
        tmp_path, '"Key",Size,"Bucket",Storage Class,ETag,VersionId\na%2Fb,12,b,STANDARD,abc,\nc,,b,GLACIER,"""d""",v\n'
    )
    assert list(read_manifest(path)) == [
        ManifestEntry("b", "a/b", None, 12, '"abc"', (74, 2)),
        ManifestEntry("b", "c", "v", UNKNOWN_SIZE, '"d"', (97, 3)),
    ]


def test_byte_order_mark_carriage_returns_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfbucket,key\r\n\r\nb,k\r\n\r\n")
    assert rows(path) == [("b", "k", None)]


def test_a_plain_csv_takes_keys_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, 'b,100%\nb,a+b\nb,"a,""b"" c"\n')
    assert rows(path, "csv-plain") == [("b", "100%", None), ("b", "a+b", None), ("b", 'a,"b" c', None)]


def test_json_lines_may_leave_out_all_but_the_key(tmp_path: Path) -> None:
    path = written(tmp_path, '{"key": "k"}\n{"key": "l", "size": 3, "etag": "\\"e\\"", "version_id": null}')
    first, second = read_manifest(path)
    assert (first.bucket, first.key, first.size, first.etag) == ("", "k", UNKNOWN_SIZE, "")
    assert (second.size, second.etag, second.version_id) == (3, '"e"', None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("b", "1 columns"),
        ("b,k,v,x", "4 columns"),
        (",k", "names no bucket"),
        ("b,", "names no key"),
        ('b,"k', "quotes"),
        ('b,"k"x', "quotes"),
        ("b,100%", "csv-plain"),
        ("b,%ff", "not UTF-8 once it is URL-decoded"),
        ("b," + "k" * 1025, "longer than 1,024 bytes"),
        ("b," + "%C3%A9" * 513, "longer than 1,024 bytes"),
        ("b," + "k" * MAX_LINE_BYTES, "longer than 65,536 bytes"),
    ],
)
def test_a_broken_csv_line_is_named_by_its_number(tmp_path: Path, line: str, reason: str) -> None:
    message = refused(written(tmp_path, f"b,first\n\n{line}\nb,last\n"))
    assert "manifest, line 3: " in message
    assert reason in message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "truncated"),
        ('{"bucket": "b"}', "`key`"),
        ('{"key": ""}', "names no key"),
        ('{"key": 3}', "Expected `str`"),
        ('{"key": "k", "size": -2}', "not a size"),
        ('{"key": "k", "versionId": "v"}', "Did you mean version_id?"),
        ("b,k", "malformed"),
    ],
)
def test_a_broken_json_line_is_named_by_its_number(tmp_path: Path, line: str, reason: str) -> None:
    message = refused(written(tmp_path, f'{{"key": "k"}}\n{line}\n'))
    assert "line 2: " in message
    assert reason in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("bucket,key,size\nb,k,12x\n", "line 2: '12x' is not a size"),
        ("bucket,key,size\nb,k\n", "line 2: 2 columns, where 3 columns"),
        ("bucket,key,key\nb,k,k\n", "line 1: it names a column twice"),
        (b"b,\xff\n", "line 1: it is not UTF-8"),
        ("", "names no object"),
        ("bucket,key\n", "names no object"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert reason in refused(written(tmp_path, content))


def test_a_cut_off_gzip_file_is_refused(tmp_path: Path) -> None:
    path = Path(
        written(tmp_path, as_csv([("b", f"{n}", None) for n in range(5000)], plus=True, quoted=False), packed=True)
    )
    path.write_bytes(path.read_bytes()[:-20])
    assert "damaged or cut off" in refused(str(path))


def test_missing_files_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(str(tmp_path / "none"))
    assert "Is a directory" in refused(str(tmp_path))
    assert "Did you mean jsonl?" in refused(written(tmp_path, "b,k"), "jsonlines")


def test_another_content_has_another_fingerprint(tmp_path: Path) -> None:
    path = written(tmp_path, "b,k\n")
    before = fingerprint(path)
    assert fingerprint(path) == before
    written(tmp_path, "b,k\nb,l\n")
    assert fingerprint(path) != before


def test_a_long_manifest_is_read_in_flat_memory(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"b,some/folder/{number:09}.jpg\n" for number in range(100_000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_manifest(path)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_line_costs_a_few_microseconds(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"b,some/folder/{number:09}%20x.jpg\n" for number in range(20_000)))
    best = min(_seconds(path) for _ in itertools.repeat(None, 5)) / 20_000
    # Measured 3 us; the bound leaves room for a busy machine.
    assert best < 30e-6


def _seconds(path: str) -> float:
    begun = time.perf_counter()
    check_manifest(path)
    return time.perf_counter() - begun
