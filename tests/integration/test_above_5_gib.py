"""Above S3's real limit of 5 GiB, on sparse data: a file goes up, is copied on the server, and relayed. Slow: 15 GiB pass by."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.s3.checksums import combine_crc64nvme, crc64nvme, encode_crc
from bucket_brigade.settings.values import EngineSettings, Settings
from tests.faults.hostile import Answer, HostileS3, Request, Semantics, in_thread
from tests.faults.hostile.messages import document, error
from tests.faults.hostile.state import State, StoredObject, Upload

MIB, GIB = 1 << 20, 1 << 30
LIMIT = 5 * GIB
SIZE = LIMIT + MIB
MARKS = {0: b"first", LIMIT - 3: b"across the limit", SIZE - 4: b"last"}


class Rope:
    """Content that is held as its parts, which may be one and the same."""

    def __init__(self, parts: list[StoredObject]) -> None:
        self._parts = [part.content for part in parts]
        self._length = sum(map(len, self._parts))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, asked: slice) -> bytes:
        start, found = 0, []
        for part in self._parts:
            found.append(memoryview(part)[max(0, asked.start - start) : max(0, asked.stop - start)])
            start += len(part)
        return b"".join(found)


class JoinedObject(StoredObject):
    """An object whose digests follow from those of its parts."""

    @classmethod
    def of(cls, parts: list[StoredObject], upload: Upload) -> JoinedObject:
        digests = hashlib.md5(b"".join(bytes.fromhex(part.digest) for part in parts), usedforsecurity=False)
        content: Any = Rope(parts)
        joined = cls(content, f'"{digests.hexdigest()}-{len(parts)}"', upload.headers, upload.tags)
        crc = 0
        for part in parts:
            crc = combine_crc64nvme(crc, crc64nvme(part.content), len(part.content))
        vars(joined).update(digest=digests.hexdigest(), crc64nvme=encode_crc(crc))
        return joined


class SparseState(State):
    """Holds equal parts once."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[bytes, bytes] = {}

    def add_part(self, upload: Upload, number: int, content: bytes, request: int) -> StoredObject:
        return super().add_part(upload, number, self._held.setdefault(content, content), request)


class SparseSemantics(Semantics):
    """S3's limit, and objects that are never joined in memory."""

    def _copy_object(self, request: Request) -> Answer:
        if len(self._source(request).content) > LIMIT:
            return error(400, "InvalidRequest", "The copy source is larger than the maximum allowable size: 5368709120")
        return super()._copy_object(request)

    def _complete_multipart_upload(self, request: Request) -> Answer:
        upload = self._upload(request)
        stored = JoinedObject.of([upload.parts[number] for number in sorted(upload.parts)], upload)
        assert int(request.headers.get("x-amz-mp-object-size", SIZE)) == len(stored.content)
        del self.state.uploads[upload.id]
        self.state.write(self._bucket(request.bucket), request.key, stored, request.number)
        inside = f"<ETag>{stored.etag}</ETag><ChecksumCRC64NVME>{stored.crc64nvme}</ChecksumCRC64NVME>"
        return document("CompleteMultipartUploadResult", inside)


def make_sparse_file(path: Path) -> str:
    """Write the file and return its CRC64NVME, as S3 gives it."""
    crc = 0
    with path.open("wb") as file:
        file.truncate(SIZE)
        for offset, mark in MARKS.items():
            file.seek(offset)
            file.write(mark[: SIZE - offset])
    with path.open("rb") as file:
        while piece := file.read(8 * MIB):
            crc = crc64nvme(piece, crc)
    return encode_crc(crc)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_an_object_above_the_limit_goes_up_is_copied_and_relayed(tmp_path: Path) -> None:
    expected = make_sparse_file(tmp_path / "file")
    state = SparseState()
    state.create_bucket("b")
    with in_thread(HostileS3(state=state, rules=SparseSemantics(state))) as s3:
        here = s3.endpoint("here", read_timeout_s=60.0)
        other = msgspec.structs.replace(here, name="other", read_timeout_s=61.0)
        settings = Settings(
            endpoints={"here": here, "other": other},
            state_dir=str(tmp_path / "state"),
            engine=EngineSettings(processes=1),
        )
        async with Brigade(settings) as brigade:
            for source, target in (
                (str(tmp_path / "file"), "here://b/uploaded"),
                ("here://b/uploaded", "here://b/copied"),
                ("here://b/uploaded", "other://b/relayed"),
            ):
                job = await brigade.copy(source, target)
                report = await job.wait()
                assert report.failures == ()
                stored = state.buckets["b"].objects[target.rpartition("/")[2]]
                assert (len(stored.content), stored.crc64nvme) == (SIZE, expected)
        assert s3.requests["CopyObject"] == 0
        assert s3.requests["UploadPartCopy"] == -(-SIZE // (256 * MIB))
        assert state.uploads == {}
