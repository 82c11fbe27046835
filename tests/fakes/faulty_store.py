"""A store that misbehaves on a script: before a request has its effect, or after it, when only the answer is lost."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bucket_brigade.s3.store import Store


class When(Enum):
    """On which side of the effect something goes wrong."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ``arguments`` by name, defaults included; ``result`` once there is one."""

    operation: str
    arguments: dict[str, Any]
    result: Any = None

    @property
    def key(self) -> str:
        return str(self.arguments.get("key", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with which request.

    Attributes:
        operation: the name of the method; "" is every one.
        does: an exception to raise, or a coroutine function that is awaited with the call: it may raise, hang, replace
            the object, or spoil the buffer in ``call.arguments["into"]``.
        when: before the effect of the request, or after it.
        key: only for this key; None is every one.
        skip: how many requests that fit go well first.
        times: how many then go wrong; None is all.
    """

    operation: str
    does: BaseException | Callable[[Call], Awaitable[None]]
    when: When = When.BEFORE
    key: str | None = None
    skip: int = 0
    times: int | None = 1

    def fits(self, call: Call) -> bool:
        """Whether the request is of the kind that goes wrong."""
        return self.operation in ("", call.operation) and self.key in (None, call.key)


async def hang(_call: Call) -> None:
    """Never answer: a request that only cancellation, or a time limit, ends."""
    await asyncio.Event().wait()


class FaultyStore:
    """A ``Store`` around another one, with the faults of a script. Where a type checker looks on, use ``as_store``.

    Attributes:
        calls: every request, in order, whether it went wrong or not.
    """

    def __init__(self, inner: Store, script: Sequence[Fault]) -> None:
        self._inner = inner
        self._script = script
        self._met = [0] * len(script)
        self.calls: list[Call] = []

    @property
    def as_store(self) -> Store:
        store: Any = self
        return store  # type: ignore[no-any-return]

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._inner, operation)
        signature = inspect.signature(method)

        async def request(*positional: object, **named: object) -> Any:
            bound = signature.bind(*positional, **named)
            bound.apply_defaults()
            call = Call(operation, dict(bound.arguments))
            self.calls.append(call)
            due = self._due(call)
            await _go_wrong(call, due, When.BEFORE)
            result = await method(*positional, **named)
            await _go_wrong(Call(operation, call.arguments, result), due, When.AFTER)
            return result

        return request

    def _due(self, call: Call) -> list[Fault]:
        due = []
        for index, fault in enumerate(self._script):
            if not fault.fits(call):
                continue
            met = self._met[index] = self._met[index] + 1
            if met > fault.skip and (fault.times is None or met <= fault.skip + fault.times):
                due.append(fault)
        return due


async def _go_wrong(call: Call, due: list[Fault], when: When) -> None:
    for fault in due:
        if fault.when is not when:
            continue
        if isinstance(fault.does, BaseException):
            raise fault.does
        await fault.does(call)
