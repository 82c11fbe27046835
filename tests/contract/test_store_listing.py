"""The contract of the store port: listings of objects, page by page."""

from __future__ import annotations

import pytest
import pytest_asyncio

from bucket_brigade.errors import NotFound
from bucket_brigade.s3.store import ListPage, Store
from tests.contract.actions import list_all

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = ["a/1", "a/2", "a/b/3", "a/b/4", "b", "c/5", "d d/6+%", "\u00e9/7", "\uff5e", "\U0001f600"]
"""In the order of their UTF-8 bytes; UTF-16 would have the last two the other way round."""


@pytest_asyncio.fixture(loop_scope="session")
async def filled(store: Store, bucket: str) -> str:
    for key in reversed(KEYS):
        await store.put_object(bucket, key, key.encode())
    return bucket


async def test_keys_come_in_the_order_of_their_bytes(store: Store, filled: str) -> None:
    page = await store.list_objects(filled)

    assert [entry.key for entry in page.objects] == KEYS
    assert (page.prefixes, page.next_token) == ([], None)


async def test_entry_tells_what_head_tells(store: Store, filled: str) -> None:
    [entry] = (await store.list_objects(filled, prefix="d d/")).objects

    head = await store.head_object(filled, entry.key)

    assert (entry.key, entry.size, entry.etag) == ("d d/6+%", head.size, head.etag)
    second_ns = 1_000_000_000
    assert entry.modified_ns // second_ns == head.modified_ns // second_ns
    assert entry.storage_class == "STANDARD"


async def test_empty_bucket_has_an_empty_page(store: Store, bucket: str) -> None:
    assert await store.list_objects(bucket) == ListPage([], [], None)


async def test_missing_bucket_cannot_be_listed(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        await store.list_objects("no-such-bucket-here")

    assert caught.value.code == "NoSuchBucket"


@pytest.mark.parametrize("prefix", ["a/", "a/b", "a/b/", "b", "d d/6+", "\u00e9", "missing"])
async def test_prefix_is_any_beginning_of_a_key(store: Store, filled: str, prefix: str) -> None:
    listed = [entry.key for entry in await list_all(store, filled, prefix=prefix)]

    assert listed == [key for key in KEYS if key.startswith(prefix)]


@pytest.mark.parametrize("page_size", [1, 3, 9, 10, 1000])
async def test_pages_hold_every_key_once(store: Store, filled: str, page_size: int) -> None:
    listed = [entry.key for entry in await list_all(store, filled, page_size=page_size)]

    assert listed == KEYS


async def test_page_is_no_longer_than_asked_for(store: Store, filled: str) -> None:
    page = await store.list_objects(filled, page_size=3)

    assert len(page.objects) == 3
    assert page.next_token is not None


async def test_delimiter_groups_what_is_below_a_folder(store: Store, filled: str) -> None:
    top = await store.list_objects(filled, delimiter="/")
    below = await store.list_objects(filled, delimiter="/", prefix="a/")

    assert [entry.key for entry in top.objects] == ["b", "\uff5e", "\U0001f600"]
    assert top.prefixes == ["a/", "c/", "d d/", "\u00e9/"]
    assert ([entry.key for entry in below.objects], below.prefixes) == (["a/1", "a/2"], ["a/b/"])


async def test_folders_and_keys_share_the_pages(store: Store, filled: str) -> None:
    found: list[str] = []
    page = await store.list_objects(filled, delimiter="/", page_size=2)
    found += [entry.key for entry in page.objects] + page.prefixes
    while page.next_token is not None:
        page = await store.list_objects(filled, delimiter="/", page_size=2, token=page.next_token)
        assert len(page.objects) + len(page.prefixes) <= 2
        found += [entry.key for entry in page.objects] + page.prefixes

    assert sorted(found) == ["a/", "b", "c/", "d d/", "\u00e9/", "\uff5e", "\U0001f600"]


@pytest.mark.parametrize("start_after", ["a", "a/1", "a/b/3", "a/zzz", "b", "d d/6+%", "\uff5e", "\U0001f600", "zzz"])
async def test_listing_starts_after_a_key_that_need_not_exist(store: Store, filled: str, start_after: str) -> None:
    listed = [entry.key for entry in await list_all(store, filled, start_after=start_after)]

    assert listed == [key for key in KEYS if key > start_after]


async def test_start_after_works_on_every_page(store: Store, filled: str) -> None:
    listed = [entry.key for entry in await list_all(store, filled, start_after="a/2", page_size=2)]

    assert listed == KEYS[2:]


async def test_more_than_one_full_page(store: Store, bucket: str) -> None:
    keys = [f"many/{number:02}" for number in range(25)]
    for key in keys:
        await store.put_object(bucket, key, b"")

    listed = [entry.key for entry in await list_all(store, bucket, prefix="many/", page_size=10)]

    assert listed == keys
