"""What becomes of the others when a stage fails, what is raised, and what is tried again."""

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from ceylon import Agent, HandlerError, Mesh, MeshClosedError
from ceylon.errors import AllFailedError, StrayCancellationError
from ceylon.pipelines import Failed, Pipeline, each, fallback, parallel, pipeline, race, retry, tap


class Troubled(Agent):
    """Fails unless it is asked for the third time."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked = 0

    async def on_message(self, message: Any) -> str:
        self.asked += 1
        if self.asked < 3:
            raise ConnectionError("not yet")
        return "done"


async def same(value: Any) -> Any:
    return value


async def fail(value: Any) -> Any:
    raise ValueError(value)


class Failing(Agent):
    """Fails on everything."""

    async def on_message(self, message: Any) -> Any:
        raise ValueError(message)


def there(mesh: Mesh, built: Pipeline) -> Pipeline:
    """Let *built* run in the test's own mesh."""
    mesh.add(built)
    return built


class Hanging:
    """A stage that waits until it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.ended = anyio.Event(), anyio.Event()

    async def stage(self, _: Any) -> None:
        self.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            self.ended.set()


async def test_the_first_failure_cancels_the_others_and_waits_for_their_end(mesh: Mesh) -> None:
    hanging = Hanging()

    async def fail_then(_: Any) -> None:
        await hanging.begun.wait()
        raise ValueError("now")

    with pytest.raises(ValueError, match="now") as caught:
        await there(mesh, parallel(hanging.stage, fail_then)).run(None)
    assert hanging.ended.is_set()
    assert caught.value.__notes__ == ["in stage 'fail_then' (at 0.1) of pipeline 'pipeline'"]


async def test_failures_may_wait_for_the_others(mesh: Mesh) -> None:
    finished = anyio.Event()

    async def slow(_: Any) -> None:
        await anyio.sleep(0.01)
        finished.set()

    async def fail_late(_: Any) -> None:
        await finished.wait()
        raise KeyError("first in order")

    with pytest.raises(KeyError, match="first in order") as caught:
        await there(mesh, parallel(slow, fail_late, fail, on_failure="wait")).run("x")
    assert finished.is_set()
    assert "there was also ValueError: x" in caught.value.__notes__


async def test_very_many_tries_end_with_the_error_of_the_last(mesh: Mesh) -> None:
    tries: list[Any] = []

    async def fail_again(value: Any) -> None:
        tries.append(value)
        raise ValueError("again")

    with pytest.raises(ValueError, match="again"):
        await there(mesh, retry(fail_again, 1_100, pause=0.0)).run("x")
    assert len(tries) == 1_100


async def test_a_list_that_is_changed_meanwhile_is_taken_as_it_was(mesh: Mesh) -> None:
    items = [1, 2, 3]

    async def change(item: int) -> int:
        items.append(item)
        return item

    assert await there(mesh, each(change, 1)).run(items) == [1, 2, 3]


async def test_of_very_many_failures_at_once_only_some_are_told(mesh: Mesh) -> None:
    gate = anyio.Event()

    async def fail_together(_: Any) -> None:
        await gate.wait()
        raise ValueError("one of many")

    async def open_it(_: Any) -> None:
        gate.set()

    with pytest.raises(ValueError, match="one of many") as caught:
        await there(mesh, parallel(*[fail_together] * 50, open_it)).run("x")
    assert len(caught.value.__notes__) <= 7


async def test_failures_may_stay_in_their_places(mesh: Mesh) -> None:
    result = await parallel(ok=same, bad=fail, on_failure="keep").run("x")

    assert result["ok"] == "x"
    assert isinstance(result["bad"], Failed)
    assert (result["bad"].stage, str(result["bad"].error)) == ("fail", "x")


async def test_an_agents_failure_is_its_own_with_path_and_root(mesh: Mesh) -> None:
    mesh.add(Failing("failing"))
    built = pipeline(same, mesh.ref("failing"), name="news")

    with pytest.raises(HandlerError) as caught:
        await built.run("x")
    assert caught.value.path == ("failing",)
    assert caught.value.__notes__ == ["in stage 'failing' (at 1) of pipeline 'news'"]
    assert caught.value.__cause__ is caught.value.root
    with pytest.raises(HandlerError) as caught:
        await mesh.add(built).ask("x")
    assert caught.value.path == ("news", "failing")
    assert caught.value.__notes__ == ["in stage 'failing' (at 1) of pipeline 'news'"]


async def test_a_note_names_the_stage_once_for_each_level(mesh: Mesh) -> None:
    inner = mesh.add(pipeline(same, fail, name="inner"))
    built = pipeline(retry(inner, 1), name="outer")

    with pytest.raises(HandlerError) as caught:
        await mesh.add(built).ask("x")
    assert caught.value.path == ("outer", "inner")
    assert caught.value.__notes__ == [
        "in stage 'fail' (at 1) of pipeline 'inner'",
        "in stage 'inner' (at 0.0) of pipeline 'outer'",
    ]


async def test_a_pipeline_inside_another_is_a_level_as_well(mesh: Mesh) -> None:
    def bad(_: Any) -> Iterator[int]:
        yield 1
        raise ValueError("half-way")

    async def notes(inner: Pipeline, match: str) -> list[str]:
        with pytest.raises(ValueError, match=match) as caught:
            await pipeline(same, inner, each(same), name="outer").run("x")
        return caught.value.__notes__

    assert await notes(pipeline(same, pipeline(retry(fail, 1), name="core"), name="inner"), "x") == [
        "in stage 'fail' (at 0.0) of pipeline 'core'",
        "in stage 'core' (at 1) of pipeline 'inner'",
        "in stage 'inner' (at 1) of pipeline 'outer'",
    ]
    assert await notes(pipeline(same, bad, name="inner"), "half-way") == [
        "in stage 'bad' (at 1) of pipeline 'inner'",
        "in stage 'inner' (at 1) of pipeline 'outer'",
    ]


async def test_everybody_failed(mesh: Mesh) -> None:
    with pytest.raises(AllFailedError) as caught:
        await race(fail, tap(fail)).run("x")
    assert [type(error) for error in caught.value.errors] == [ValueError, ValueError]
    assert caught.value.__cause__ in caught.value.errors


async def test_an_agent_is_asked_again_for_an_error_of_its_own_or_of_its_root(mesh: Mesh) -> None:
    kinds: list[Any] = [ConnectionError, HandlerError, (KeyError, OSError)]
    for number, kind in enumerate(kinds):
        agent = Troubled(f"troubled-{number}")
        ref = mesh.add(agent)
        assert await retry(ref, 3, on=kind, pause=0).run("x") == "done"
        assert agent.asked == 3
    agent = Troubled("last")
    with pytest.raises(HandlerError, match="not yet"):
        await retry(mesh.add(agent), 3, on=KeyError, pause=0).run("x")
    assert agent.asked == 1


async def test_the_next_one_takes_over(mesh: Mesh) -> None:
    assert await fallback(fail, fail, same).run("x") == "x"
    with pytest.raises(ValueError, match="x"):
        await fallback(fail, same, on=KeyError).run("x")
    with pytest.raises(ValueError, match="x"):
        await fallback(fail, fail).run("x")


async def test_a_failing_tap_fails_the_run(mesh: Mesh) -> None:
    with pytest.raises(ValueError, match="x"):
        await pipeline(tap(fail), same).run("x")


async def test_the_end_of_a_mesh_is_neither_kept_nor_tried_again(mesh: Mesh) -> None:
    asked = 0

    async def closed(_: Any) -> None:
        nonlocal asked
        asked += 1
        raise MeshClosedError("test")

    for built in (
        retry(closed, 3, pause=0),
        fallback(closed, same),
        parallel(closed, on_failure="keep"),
        race(closed, same),
        each(closed, on_failure="keep"),
    ):
        with pytest.raises(MeshClosedError):
            await mesh.add(built.named(f"asked-{asked}")).ask([1])
    assert asked == 5


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, asyncio.CancelledError, RecursionError])
@pytest.mark.parametrize("where", ["on the loop", "in a thread"])
async def test_a_stage_may_raise_anything(error: type[BaseException], where: str, mesh: Mesh) -> None:
    def crash(_: Any) -> None:
        raise error

    async def crash_on_loop(_: Any) -> None:
        raise error

    stage: Any = crash_on_loop if where == "on the loop" else crash
    ref, keeping = mesh.add(parallel(stage, same)), mesh.add(parallel(stage, same, on_failure="keep").named("keeping"))
    with pytest.raises(HandlerError) as caught:
        await ref.ask("x")
    assert isinstance(caught.value.root, (error, StrayCancellationError))
    kept = await keeping.ask("x")
    assert isinstance(kept[0], Failed)
    assert kept[1] == "x"


async def test_what_a_stage_leaves_behind_is_not_the_runs(anyio_backend: str, mesh: Mesh) -> None:
    async def leave_scope_open(value: Any) -> Any:
        anyio.move_on_after(0.001).__enter__()
        return value

    async def wait(value: Any) -> Any:
        await anyio.sleep(0.02)
        return value

    assert await pipeline(leave_scope_open, wait, parallel(leave_scope_open, wait)).run(1) == [1, 1]


async def test_several_failures_at_once_are_one_and_a_note(mesh: Mesh) -> None:
    begun = anyio.Event()

    async def fail_when_cancelled(_: Any) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("also")

    async def fail_first(_: Any) -> None:
        await begun.wait()
        raise ValueError("first")

    with pytest.raises(ValueError, match="first") as caught:
        await there(mesh, parallel(fail_when_cancelled, fail_first)).run(None)
    assert any("KeyError" in note for note in caught.value.__notes__)
