from __future__ import annotations

import asyncio
import hashlib
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.errors import (
    ConnectionLost,
    NotFound,
    PermanentError,
    StoreUnavailable,
    Throttled,
    TransferError,
)
from bucket_brigade.s3.checksums import encode_crc
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.lost_answers import is_completed, multipart_etag
from bucket_brigade.s3.retry import Retrier, may_retry, retry_delay_s
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.store import DeleteError, DeleteKey, ObjectHead, PartReceipt, Store, Written
from bucket_brigade.s3.throttle import FIRST_PAUSE_S, Throttle
from bucket_brigade.settings.values import RetrySettings

POLICY = RetrySettings(max_attempts=4, max_elapsed_s=100.0, base_delay_s=1.0, max_delay_s=8.0)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class Script:
    """A request that raises or returns what it was given, one after the other."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, *args: Any, **_: Any) -> Any:
        self.calls.append(args)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def retrier(clock: Clock, policy: RetrySettings = POLICY, **options: Any) -> Retrier:
    return Retrier(policy, Governor(now=clock.now), now=clock.now, sleep=clock.sleep, jitter=lambda: 1.0, **options)


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 100))
def test_a_delay_lies_within_its_range(attempt: int, jitter: float, asked: float | None) -> None:
    delay = retry_delay_s(POLICY, attempt, asked, jitter)

    assert delay >= (asked or 0.0)
    assert delay <= max(asked or 0.0, POLICY.max_delay_s)


def test_the_range_doubles_up_to_its_limit() -> None:
    assert [retry_delay_s(POLICY, attempt, None, 1.0) for attempt in (1, 2, 3, 4)] == [2.0, 4.0, 8.0, 8.0]


def test_attempts_and_time_end_it() -> None:
    assert may_retry(POLICY, 3, 0.0, 1.0)
    assert not may_retry(POLICY, 4, 0.0, 1.0)
    assert not may_retry(POLICY, 1, 99.0, 1.0)


async def test_success_is_not_touched() -> None:
    clock = Clock()
    assert await retrier(clock).run(Script("done")) == "done"
    assert clock.sleeps == []


async def test_a_transient_error_is_tried_again_and_counted() -> None:
    clock, told = Clock(), []
    subject = retrier(clock, on_retry=lambda error, attempt, delay: told.append((error.code, attempt, delay)))
    request = Script(ConnectionLost("1"), StoreUnavailable("2"), "done")

    assert await subject.run(request, "a") == "done"
    assert subject.retries == 2
    assert clock.sleeps == [2.0, 4.0]
    assert told == [("ConnectionLost", 1, 2.0), ("StoreUnavailable", 2, 4.0)]
    assert request.calls == [("a",)] * 3


async def test_the_last_error_tells_how_often_it_was_tried() -> None:
    subject = retrier(Clock())
    request = Script(*(StoreUnavailable(str(n)) for n in range(9)))

    with pytest.raises(StoreUnavailable, match="3") as caught:
        await subject.run(request)
    assert caught.value.attempts == 4
    assert len(request.calls) == 4


async def test_a_permanent_error_is_not_tried_again() -> None:
    request = Script(PermanentError("no"))
    with pytest.raises(PermanentError) as caught:
        await retrier(Clock()).run(request)
    assert caught.value.attempts == 1
    assert len(request.calls) == 1


async def test_a_permanent_error_ends_the_retries() -> None:
    request = Script(ConnectionLost("1"), NotFound("2"))
    with pytest.raises(NotFound) as caught:
        await retrier(Clock()).run(request)
    assert caught.value.attempts == 2


async def test_what_the_endpoint_asks_for_is_the_least() -> None:
    clock = Clock()
    await retrier(clock).run(Script(StoreUnavailable("1", retry_after_s=30.0), "done"))
    assert clock.sleeps == [30.0]


async def test_no_attempt_begins_after_the_time_is_up() -> None:
    with pytest.raises(StoreUnavailable):
        await retrier(Clock()).run(Script(StoreUnavailable("1", retry_after_s=101.0), "done"))


async def test_cancellation_is_not_an_error_to_retry() -> None:
    async def request() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await retrier(Clock()).run(request)


def test_a_throttled_endpoint_closes_the_gate_for_all() -> None:
    clock = Clock()
    gate = Throttle(now=clock.now)
    gate.close(sent_at=clock.time)

    assert not gate.is_open
    assert gate.remaining_s() == pytest.approx(FIRST_PAUSE_S)
    clock.time += FIRST_PAUSE_S
    assert gate.remaining_s() == 0.0
    assert gate.is_open


def test_requests_already_under_way_do_not_close_it_further() -> None:
    clock = Clock()
    gate = Throttle(now=clock.now)
    sent_at = clock.time
    for _ in range(50):
        gate.close(sent_at=sent_at)

    assert gate.pauses == 1
    assert gate.remaining_s() == pytest.approx(FIRST_PAUSE_S)


def test_the_pause_grows_while_throttling_goes_on_and_shrinks_after_calm() -> None:
    clock = Clock()
    gate = Throttle(now=clock.now)
    pauses = []
    for _ in range(4):
        gate.close(sent_at=clock.time)
        pauses.append(round(gate.remaining_s(), 6))
        clock.time += gate.remaining_s() + 0.001
    assert pauses == [0.2, 0.4, 0.8, 1.6]

    clock.time += 60
    gate.close(sent_at=clock.time)
    assert gate.remaining_s() == pytest.approx(FIRST_PAUSE_S)


def test_the_endpoints_own_wish_holds_for_all() -> None:
    clock = Clock()
    gate = Throttle(now=clock.now)
    gate.close(sent_at=clock.time, retry_after_s=7.0)
    assert gate.remaining_s() == pytest.approx(7.0)


async def test_nobody_starts_while_the_gate_is_closed() -> None:
    gate = Throttle()
    gate.close(sent_at=0.0, retry_after_s=0.05)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await Retrier(POLICY, Governor(gate)).run(Script("done"))
    assert loop.time() - before >= 0.04


# --- the store -----------------------------------------------------------------------------------------------------

FAST = RetrySettings(max_attempts=4, base_delay_s=0.0, max_delay_s=0.0)
PARTS = [
    PartReceipt(1, f'"{hashlib.md5(b"a").hexdigest()}"', 1),
    PartReceipt(2, f'"{hashlib.md5(b"b").hexdigest()}"', 1),
]
LOST = ConnectionLost("the answer was lost")
GONE = NotFound("no such upload", code="NoSuchUpload")


class OneScriptStore:
    """Answers each method by its own script."""

    def __init__(self, **scripts: Script) -> None:
        self.__dict__.update(scripts)


def store(**scripts: Script) -> RetryingStore:
    return RetryingStore(cast("Store", OneScriptStore(**scripts)), FAST, Governor())


def head(size: int = 2, etag: str = "", crc: int | None = None) -> ObjectHead:
    checksums = {} if crc is None else {"CRC64NVME": encode_crc(crc)}
    return ObjectHead(size=size, etag=etag or f'"{multipart_etag(PARTS)}"', checksums=checksums)


async def complete(subject: RetryingStore, crc: int | None = None) -> Written:
    return await subject.complete_multipart_upload("b", "k", "u", PARTS, size=2, crc64nvme=crc)


async def test_a_completion_whose_answer_was_lost_is_our_own_success() -> None:
    subject = store(complete_multipart_upload=Script(LOST, GONE), head_object=Script(head()))
    assert (await complete(subject)).etag == head().etag


async def test_an_upload_that_was_gone_from_the_start_is_not() -> None:
    subject = store(complete_multipart_upload=Script(GONE), head_object=Script(head()))
    with pytest.raises(NotFound):
        await complete(subject)


@pytest.mark.parametrize("found", [head(size=3), head(crc=8), head(etag='"other-2"')])
async def test_another_object_at_the_key_is_not_our_success(found: ObjectHead) -> None:
    subject = store(complete_multipart_upload=Script(LOST, GONE), head_object=Script(found))
    with pytest.raises(NotFound, match="no such upload"):
        await complete(subject, crc=7)


def test_a_checksum_that_fits_decides_over_the_etag() -> None:
    assert is_completed(head(etag='"kms"', crc=7), PARTS, size=2, crc64nvme=7)


async def test_only_keys_with_a_transient_answer_are_deleted_again() -> None:
    script = Script({0: DeleteError("SlowDown", ""), 2: DeleteError("AccessDenied", "")}, {})
    answers = await store(delete_objects=script).delete_objects("b", [DeleteKey("x"), DeleteKey("y"), DeleteKey("z")])

    assert {index: error.code for index, error in answers.items()} == {2: "AccessDenied"}
    assert [[one.key for one in call[1]] for call in script.calls] == [["x", "y", "z"], ["x"]]


async def test_keys_that_stay_undeleted_are_told_by_their_own_code() -> None:
    script = Script(*({0: DeleteError("InternalError", "")} for _ in range(4)))
    answers = await store(delete_objects=script).delete_objects("b", [DeleteKey("x")])
    assert answers[0].code == "InternalError"


async def test_a_bulk_delete_that_never_gets_through_is_an_error() -> None:
    with pytest.raises(ConnectionLost):
        await store(delete_objects=Script(*[LOST] * 4)).delete_objects("b", [DeleteKey("x")])


async def test_a_bucket_made_by_a_lost_attempt_is_ours() -> None:
    ours = PermanentError("ours", code="BucketAlreadyOwnedByYou")
    await store(create_bucket=Script(LOST, ours)).create_bucket("b")
    with pytest.raises(PermanentError):
        await store(create_bucket=Script(ours)).create_bucket("b")


async def test_a_bucket_deleted_by_a_lost_attempt_is_gone() -> None:
    await store(delete_bucket=Script(LOST, NotFound("gone"))).delete_bucket("b")
    with pytest.raises(NotFound):
        await store(delete_bucket=Script(NotFound("gone"))).delete_bucket("b")


async def test_a_throttled_store_is_counted() -> None:
    subject = store(head_bucket=Script(Throttled("1"), "eu-west-1"))
    assert await subject.head_bucket("b") == "eu-west-1"
    assert subject.retries == 1


def test_every_transfer_error_begins_with_one_attempt() -> None:
    assert TransferError("x").attempts == 1
