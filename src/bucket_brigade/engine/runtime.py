"""The composition of a worker: from a set-up message to stores, an operation and a Worker. The same in every process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from bucket_brigade.engine.messages import WorkerSetup
from bucket_brigade.engine.observer import Emit, EventObserver
from bucket_brigade.engine.queue import BatchQueue
from bucket_brigade.engine.worker import Worker
from bucket_brigade.local.blocking import BlockingCalls
from bucket_brigade.local.descriptors import transfers_at_once
from bucket_brigade.model.events import Governed
from bucket_brigade.model.job import Operation
from bucket_brigade.model.location import S3Location
from bucket_brigade.operations.budget import ByteBudget
from bucket_brigade.operations.build import build_operation
from bucket_brigade.operations.port import BucketSide, Context
from bucket_brigade.s3.governor import Decision, OnDecision
from bucket_brigade.s3.job_limits import JobLimits, limits_of
from bucket_brigade.s3.profile import EndpointProfile, read_profile
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.settings.values import EndpointSettings

OpenStore = Callable[[EndpointSettings], Awaitable[RetryingStore]]
"""Gives the store of an endpoint: a new one, or one that is open already. Whoever gives it closes it."""


def conditions_enforced(profile: EndpointProfile, operation: Operation) -> bool | None:
    """Return whether an endpoint honours the conditions of the writes of this operation; None where nobody knows."""
    if operation is not Operation.COPY:
        return profile.conditional_writes
    tried = (profile.copy_if_absent, profile.complete_if_absent)
    if False in tried:
        return False
    return None if None in tried else True


@contextlib.asynccontextmanager
async def open_worker(
    setup: WorkerSetup, queue: BatchQueue, emit: Emit, open_store: OpenStore
) -> AsyncIterator[Worker]:
    """Compose the worker of a job and yield it; give back what it opened on this machine afterwards."""
    job = setup.job
    stores: list[RetryingStore] = []
    sides: list[BucketSide | None] = []
    for location, endpoint in ((job.source, setup.source), (job.target, setup.target)):
        if not isinstance(location, S3Location) or endpoint is None:
            sides.append(None)
            continue
        store = stores[0] if stores and endpoint == setup.source else await open_store(endpoint)
        if store not in stores:
            stores.append(store)
        profile = read_profile(setup.state_dir, endpoint)
        sides.append(
            BucketSide(
                store,
                location.endpoint,
                location.bucket,
                conditions_enforced(profile, job.operation),
                True if store.is_aws else profile.tag_count,
            )
        )
    context = Context(
        job=job,
        budget=ByteBudget(setup.engine.memory_bytes),
        files=BlockingCalls(),
        ledger=queue,
        part_concurrency=setup.engine.part_concurrency,
    )
    operation = build_operation(context, sides[0], sides[1])
    limits = stores[0].limits or JobLimits(limits_of(setup.engine))

    def concurrency() -> int:
        # A transfer between two endpoints is at one of them at a time.
        wanted = limits.limits.concurrency or sum(store.governor.limit for store in stores)
        return min(wanted, transfers_at_once())  # whatever is asked for while it runs: files need descriptors too

    with contextlib.ExitStack() as stack:
        worker = Worker(
            queue,
            operation,
            setup.engine,
            EventObserver(job.id, setup.worker, emit, every_transfer=setup.every_transfer),
            count_retries=lambda: sum(store.retries for store in stores),
            concurrency=concurrency,
        )
        for store, endpoint in zip(stores, (setup.source or setup.target, setup.target), strict=False):
            store.governor.on_decision = _decision_teller(emit, setup, endpoint)
            stack.callback(setattr, store.governor, "on_decision", None)
        for subscribe in (limits.subscribe, *(store.governor.subscribe for store in stores)):
            stack.callback(subscribe(worker.resize))
        try:
            yield worker
        finally:
            await operation.close()
            context.files.close()


def _decision_teller(emit: Emit, setup: WorkerSetup, endpoint: EndpointSettings | None) -> OnDecision:
    name = endpoint.name if endpoint is not None else ""

    def tell(decision: Decision, concurrency: int, requests_per_s: float | None) -> None:
        emit(
            Governed(
                job_id=setup.job.id,
                worker=setup.worker,
                endpoint=name,
                decision=decision,
                concurrency=concurrency,
                requests_per_s=None if requests_per_s is None else round(requests_per_s, 1),
            )
        )

    return tell
