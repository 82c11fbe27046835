"""The store that fails on a script does what the script says."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When, hang
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.errors import ConnectionLost


async def test_fault_before_the_effect_prevents_it() -> None:
    inner = MemoryStore("bucket")
    store = FaultyStore(inner, [Fault(operation="put_object", does=ConnectionLost("reset"))])

    with pytest.raises(ConnectionLost):
        await store.put_object("bucket", "key", b"content")

    assert inner.effects == []


async def test_fault_after_the_effect_loses_only_the_answer() -> None:
    inner = MemoryStore("bucket")
    store = FaultyStore(inner, [Fault(operation="put_object", does=ConnectionLost("reset"), when=When.AFTER)])

    with pytest.raises(ConnectionLost):
        await store.put_object("bucket", "key", b"content")

    assert (await inner.head_object("bucket", "key")).size == 7


async def test_fault_strikes_as_often_as_it_says_and_only_its_key() -> None:
    fault = Fault(operation="put_object", does=ConnectionLost("reset"), key="key", skip=1, times=2)
    store = FaultyStore(MemoryStore("bucket"), [fault])

    results = []
    for key in ("key", "other", "key", "key", "key"):
        try:
            await store.put_object("bucket", key, b"")
            results.append("written")
        except ConnectionLost:
            results.append("lost")

    assert results == ["written", "written", "lost", "lost", "written"]
    assert [call.key for call in store.calls] == ["key", "other", "key", "key", "key"]


async def test_fault_may_spoil_what_was_read() -> None:
    async def flip(call: Call) -> None:
        call.arguments["into"][0] ^= 1

    inner = MemoryStore("bucket")
    await inner.put_object("bucket", "key", b"content")
    store = FaultyStore(inner, [Fault(operation="get_object", does=flip, when=When.AFTER)])
    into = bytearray(7)

    await store.get_object("bucket", "key", memoryview(into))

    assert into == b"bontent"


async def test_hanging_request_ends_with_its_cancellation() -> None:
    store = FaultyStore(MemoryStore("bucket"), [Fault(operation="", does=hang)])

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await store.list_objects("bucket")
