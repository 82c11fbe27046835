"""What must be true when a job of the campaign is over, whatever was done to it on the way."""

from __future__ import annotations

from collections.abc import Mapping

from bucket_brigade.journal.sqlite import open_journal
from bucket_brigade.model.job import Overwrite
from bucket_brigade.model.outcome import Counters, State
from tests.faults.hostile import Script
from tests.faults.mixes import Mix
from tests.faults.world import SOURCE, TARGET, World
from tests.samples import read_tree

_SETTLED = (State.DONE, State.FAILED, State.SKIPPED, State.VANISHED)


def places(mix: Mix, world: World) -> tuple[str, str]:
    """Return source and target of a mix's job, as they are typed."""
    source, target = f"hostile://{SOURCE}/", f"hostile://{TARGET}/"
    if mix.operation in ("upload", "move up"):
        source = f"{world.folder}/from/"
    elif mix.operation in ("download", "move down"):
        target = f"{world.folder}/to/"
    elif mix.operation in ("relay", "move away"):
        target = f"away://{TARGET}/"
    elif mix.operation == "delete":
        target = ""
    return source, target


def begin(mix: Mix, world: World) -> None:
    """Put the objects of a mix where its job finds them, and let the server misbehave from now on."""
    if "://" in places(mix, world)[0]:
        world.fill(mix.objects)
    else:
        world.write_files(mix.objects)
    world.s3.semantics.checksums = mix.checksums
    world.s3.script = Script(mix.rules, seed=mix.seed)


async def expect_truth(mix: Mix, world: World, folder: str, counters: Counters) -> None:
    """Hold the journal in a job's folder, and its counters, against what is at both sides."""
    states = await states_of(folder)
    assert sorted(states) == sorted(mix.objects)  # every object once, and nothing else
    counted = (counters.done, counters.failed, counters.skipped, counters.vanished)
    assert counted == tuple(list(states.values()).count(one) for one in _SETTLED)
    source, target = places(mix, world)
    arrived, left = _content(target, world), _content(source, world)
    assert arrived.items() <= mix.objects.items()  # whatever is there is whole, also what was not said to be done
    assert left.items() <= mix.objects.items()
    for name, content in mix.objects.items():
        if states[name] is State.SKIPPED:  # it is there already, from an attempt of our own that was never answered
            assert mix.options.overwrite is Overwrite.NEVER
            assert arrived.get(name) == content
        elif states[name] is State.DONE:
            assert mix.verb == "rm" or arrived.get(name) == content, f"{name} is not at the target"
            assert (name in left) == (mix.verb == "cp"), (
                f"the source {name} is {'still' if name in left else 'not'} there"
            )
        elif mix.verb != "rm":
            assert name in left or name in arrived, f"{name} is lost"
    if mix.operation in ("move", "move away"):
        pairs = {(SOURCE, name): (TARGET, name) for name in mix.objects}
        assert world.s3.log.deleted_before_written(pairs) == []
    assert not world.s3.state.uploads, f"left: {list(world.s3.state.uploads.values())}"


def _content(place: str, world: World) -> Mapping[str, bytes]:
    if not place:
        return {}
    if "://" in place:
        return world.written if f"{TARGET}/" in place else world.left
    return read_tree(place)


async def states_of(folder: str) -> dict[str, State]:
    """Return the state of every object of a job, from its journal."""
    journal = await open_journal(folder)
    try:
        found: dict[str, State] = {}
        async for batch in journal.batches():
            for transfer, state in zip(batch.transfers, batch.states, strict=True):
                assert transfer.source not in found, f"{transfer.source} is planned twice"
                found[transfer.source] = State(state)
        return found
    finally:
        await journal.close()
