"""Errors, receipts and lists in XML."""

from __future__ import annotations

import gc
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.s3.xml_messages import (
    delete_lists,
    deleted_keys,
    escape,
    fits_xml,
    parse_error,
    rows_of,
    usual_receipt,
)
from bucket_brigade.s3.xml_tree import MalformedXml, parse_document

DELETED = (
    "<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>é</Key><VersionId>v</VersionId>"
    "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId></Deleted></DeleteResult>"
)


@pytest.mark.parametrize("before", [b"", b"\n\n  <?xml version='1.0'?>"])
@pytest.mark.parametrize("prefix", [b"", b"s3:"])
def test_error_is_read_wherever_it_stands(before: bytes, prefix: bytes) -> None:
    document = (
        b"<Error xmlns:s3='x'><Code>SlowDown</Code><Message>Less &amp; less</Message><RequestId>1</RequestId></Error>"
    )
    prefixed = re.sub(rb"<(/?)", rb"<\1" + prefix, document)
    error = parse_error(before + prefixed)
    assert error is not None
    assert (error.code, error.message, error.request_id, error.region) == ("SlowDown", "Less & less", "1", "")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>Error</html>",
        b"<Error",
        b"<Errors/>",
        b"<DeleteResult><Error><Code>x</Code></Error></DeleteResult>",
    ],
)
def test_what_is_no_error_is_none(document: bytes) -> None:
    assert parse_error(document) is None


def test_entities_of_a_doctype_are_refused() -> None:
    with pytest.raises(MalformedXml, match="DOCTYPE"):
        parse_document(b'<!DOCTYPE a [<!ENTITY b "c">]><Error><Code>&b;</Code></Error>')


def test_deleted_keys_are_read_with_and_without_refusals() -> None:
    deleted, refused = delete_lists(DELETED.encode())
    assert [(one["Key"], one["VersionId"]) for one in deleted] == [("a", ""), ("é", "v")]
    assert refused == []
    error = "<Error><Key>x&amp;y</Key><Code>AccessDenied</Code><Message>No</Message></Error></DeleteResult>"
    deleted, refused = delete_lists(DELETED.replace("</DeleteResult>", error).encode())
    assert [one["Key"] for one in deleted] == ["a", "é"]
    assert refused == [{"Key": "x&y", "Code": "AccessDenied", "Message": "No"}]


def test_delete_result_cut_anywhere_is_refused() -> None:
    document = DELETED.encode()
    for end in range(len(document)):
        with pytest.raises(MalformedXml):
            delete_lists(document[:end])


def test_body_is_cut_into_rows_and_joined_again() -> None:
    body = b"<L><Object><Key>KEY</Key></Object><Object><Key>KEY</Key><E>100%</E><V>VER</V></Object><Q>f</Q></L>"
    rows = rows_of(body, "Object", ("KEY", "VER"))
    assert rows.body([rows.rows[0] % "KEY", rows.rows[1] % ("KEY", "VER")]) == body


@pytest.mark.parametrize(
    "body",
    [
        b"<L></L>",
        b"<L><Object>KEY</Object><x/><Object>KEY</Object></L>",
        b"<L><Object>VER KEY</Object></L>",
        b"<L><Object>KEY KEY</Object></L>",
    ],
)
def test_body_of_another_shape_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="the "):
        rows_of(body, "Object", ("KEY", "VER"))


@given(st.text(st.characters(codec="utf-8")))
def test_escaped_text_is_read_back_as_it_was(text: str) -> None:
    if fits_xml(text):
        assert parse_document(f"<K>{escape(text)}</K>".encode()).text == text


def test_a_parsed_document_leaves_no_cycle_behind() -> None:
    gc.collect()
    gc.disable()
    try:
        parse_document(b"<Result><ETag>x</ETag></Result>")
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_keys_are_escaped_all_at_once_as_each_by_itself() -> None:
    body = b"<Delete><Object><Key>KEY</Key></Object><Object><Key>KEY</Key><ETag>TAG</ETag></Object><Quiet>false</Quiet></Delete>"
    rows = rows_of(body, "Object", ("KEY", "TAG"))
    keys = ["a&b", "100%", "%s", "<x>", "plain", "é"]
    assert rows.body_of_keys(keys) == rows.body([rows.rows[0] % escape(key) for key in keys])


def test_keys_of_a_clean_result_are_told_and_of_no_other() -> None:
    clean = b"<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>b</Key></Deleted></DeleteResult>"
    assert deleted_keys(clean) == {"a", "b"}
    for found, changed in (
        (b"<Key>b</Key>", b"<Key>b</Key><VersionId>1</VersionId>"),
        (b"<Key>b</Key>", b"<Key>b&amp;</Key>"),
        (b"<Deleted><Key>b</Key></Deleted>", b"<Error><Key>b</Key><Code>AccessDenied</Code></Error>"),
        (b"</DeleteResult>", b""),
    ):
        assert deleted_keys(clean.replace(found, changed)) == frozenset()


USUAL_COPY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0f-2&quot;</ETag>"
    b"<ChecksumType>FULL_OBJECT</ChecksumType><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></CopyObjectResult>"
)


def test_the_usual_receipt_is_what_its_tree_says() -> None:
    root = parse_document(USUAL_COPY)
    assert usual_receipt(b"  \n" + USUAL_COPY) == (root.tag, root.get("ETag"), root.get("ChecksumCRC64NVME"))
    assert usual_receipt(bytearray(USUAL_COPY.replace(b"&quot;", b'"'))) == (
        "CopyObjectResult",
        '"0f-2"',
        "AAAAAAAAAAA=",
    )


def test_a_receipt_of_another_shape_is_left_to_the_parser() -> None:
    for end in range(len(USUAL_COPY)):
        assert usual_receipt(USUAL_COPY[:end]) is None
    for found, other in (
        (b"&quot;0f", b"&amp;0f"),
        (b"<ETag>", b"<!-- --><ETag>"),
        (b"<ETag>", b"<Error>x</Error><ETag>"),
        (b"<ETag>", b"<ETag>other</ETag><ETag>"),
        (b"</CopyObjectResult>", b"</CopyObjectResult><More/>"),
        (b"CopyObjectResult", b"Error"),
    ):
        assert usual_receipt(USUAL_COPY.replace(found, other)) is None
