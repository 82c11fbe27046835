"""Listings that lie, and keys that are hostile: rows 10, 11 and 12 of the fault table."""

from __future__ import annotations

import msgspec
import pytest

from bucket_brigade.errors import PlanError
from bucket_brigade.model.job import JobState
from tests.faults.hostile import Fault
from tests.faults.hostile.faults import CUT_ANSWER, NO_SUCH_KEY, SHORT_HONESTLY
from tests.faults.hostile.listing import token_behind
from tests.faults.hostile.messages import Answer, Request
from tests.faults.hostile.state import Bucket, hash_order, utf8_order
from tests.faults.world import SOURCE, World, done, small_objects
from tests.samples import AWKWARD_KEYS

MANY = 2500


def many() -> dict[str, bytes]:
    """Return more objects than two pages hold."""
    return {f"k{index:05}": b"" for index in range(MANY)}


def _rewritten(name: str, old: str, new: str) -> Fault:
    """A listing in which a text is another one."""

    def mangle(_request: Request, answer: Answer, _chance: object) -> Answer:
        return answer.changed(body=answer.body.decode().replace(old, new).encode())

    return Fault(name=name, mangle=mangle)


# --- row 10 ------------------------------------------------------------------------------------------------------------


async def test_row_10_an_object_that_is_gone_since_it_was_listed_has_vanished(world: World) -> None:
    objects = small_objects(8)
    world.s3.script.add(NO_SUCH_KEY, "GetObject", "CopyObject", "HeadObject", where="k003", times=None)
    for run in (world.download, world.copy, world.relay):
        report = await run(objects)
        assert report.state is JobState.DONE
        assert (report.counters.done, report.counters.vanished) == (7, 1)


async def test_row_11_a_stale_listing_names_what_is_gone_and_a_move_of_it_loses_nothing(world: World) -> None:
    objects = small_objects(8)
    ghost = "<Contents><Key>d1/ghost</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    ghost += "<ETag>&quot;x&quot;</ETag><Size>3</Size></Contents>"
    world.s3.script.add(
        _rewritten("stale", "</ListBucketResult>", ghost + "</ListBucketResult>"), "ListObjectsV2", times=None
    )
    report = await world.move(objects)
    assert (report.counters.done, report.counters.vanished) == (8, 1)
    assert (world.written, world.left) == (objects, {})


# --- row 11 ------------------------------------------------------------------------------------------------------------

LIES = {
    "a token that leads back": _rewritten("token leads back", token_behind("k01999"), token_behind("k00999")),
    "a token that stands still": _rewritten("token stands still", token_behind("k01999"), token_behind("k00998")),
    "a page that comes again": _rewritten("page comes again", token_behind("k00999"), token_behind("")),
    "pages that overlap": _rewritten("pages overlap", token_behind("k00999"), token_behind("k00900")),
    "truncated without a token": _rewritten(
        "truncated without a token", f"<NextContinuationToken>{token_behind('k00999')}</NextContinuationToken>", ""
    ),
    "a key outside the prefix": _rewritten("outside the prefix", "<Key>k00500</Key>", "<Key>../k00500</Key>"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_row_11_a_listing_that_cannot_be_trusted_stops_the_job_before_it_plans_anything_twice(
    world: World, lie: str
) -> None:
    objects = {f"p/{name}": content for name, content in many().items()}
    world.fill(objects)
    fault = LIES[lie]
    world.s3.script.add(_under_prefix(fault), "ListObjectsV2", times=None)
    with pytest.raises(PlanError):
        await world.run("rm", f"hostile://{SOURCE}/p/", recursive=True)
    assert len(world.left) > 0


def _under_prefix(fault: Fault) -> Fault:
    """The same lie about keys below ``p/``."""

    def mangle(request: Request, answer: Answer, chance: object) -> Answer:
        body = answer.body.decode().replace("<Key>p/", "<Key>")
        for index in (900, 998, 999, 1999):
            body = body.replace(token_behind(f"p/k{index:05}"), token_behind(f"k{index:05}"))
        assert fault.mangle is not None
        told = fault.mangle(request, answer.changed(body=body.encode()), chance)  # type: ignore[arg-type]
        body = told.body.decode().replace("<Key>k", "<Key>p/k")
        for index in (900, 998, 999, 1999):
            body = body.replace(token_behind(f"k{index:05}"), token_behind(f"p/k{index:05}"))
        return told.changed(body=body.encode())

    return Fault(name=fault.name, mangle=mangle)


@pytest.mark.parametrize("fault", [pytest.param(CUT_ANSWER, id="cut"), pytest.param(SHORT_HONESTLY, id="short")])
async def test_row_11_half_a_page_is_no_listing(world: World, fault: Fault) -> None:
    objects = small_objects(40)
    world.s3.script.add(fault, "ListObjectsV2", times=2, skip=1)
    done(await world.delete(objects), len(objects))
    assert world.left == {}


# --- stores that keep another order ------------------------------------------------------------------------------------


def ordered_at_first(key: str) -> object:
    """S3's order up to k01500, none behind it: the first page looks like S3's."""
    return (0, utf8_order(key)) if key < "k01500" else (1, hash_order(key))


def second_half_first(key: str) -> object:
    """In order but for one step back, at the end of a page: every single page looks like S3's."""
    return (key < "k02000", utf8_order(key))


@pytest.mark.parametrize("order", [hash_order, ordered_at_first, second_half_first])
@pytest.mark.parametrize("shards", [0, 1, 4])
async def test_row_11_a_store_without_s3s_order_loses_no_key(world: World, order: object, shards: int) -> None:
    world.s3.state.buckets[SOURCE] = Bucket(SOURCE, order, "us-east-1")  # type: ignore[arg-type]
    world.engine = msgspec.structs.replace(world.engine, list_shards=shards, batch_size=1000)
    objects = {f"k{index:05}": b"" for index in range(4000)}
    world.fill(objects)
    try:
        report = await world.run("rm", f"hostile://{SOURCE}/", recursive=True)
    except PlanError:
        return  # clearly, and not as if it were done
    done(report, len(objects))
    assert world.left == {}


# --- row 12 ------------------------------------------------------------------------------------------------------------


async def test_row_12_keys_that_xml_cannot_carry_are_copied_and_deleted_byte_for_byte(world: World) -> None:
    objects = {sample.key: sample.name.encode() for sample in AWKWARD_KEYS}
    done(await world.move(objects), len(objects))
    assert (world.written, world.left) == (objects, {})
