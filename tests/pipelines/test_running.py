"""What comes out of a pipeline, when its stages run, and where."""

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import msgspec
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, BlockingMesh, Context, Mesh
from ceylon.core.current import current
from ceylon.errors import LoopLimitError, NoBranchError, StageTimeoutError
from ceylon.pipelines import (
    Pipeline,
    branch,
    each,
    fallback,
    gather,
    loop,
    parallel,
    pipeline,
    race,
    retry,
    tap,
    timeout,
)
from ceylon.settings import DEFAULTS
from support.core_agents import Echo, until
from support.law import lawful_mesh
from support.leaps import leaping_when, on_leaping_loops
from support.virtual_time import run_virtually

T = TypeVar("T")


def split(text: str) -> list[str]:
    return text.split()


async def double(number: int) -> int:
    return 2 * number


async def count(items: list[Any]) -> int:
    return len(items)


def after(seconds: float, value: Any = None, log: list[Any] | None = None) -> Callable[[Any], Awaitable[Any]]:
    """Return a stage that takes so long; it notes when it began."""

    async def wait(given: Any) -> Any:
        if log is not None:
            log.append((value, round(anyio.current_time(), 6)))
        await anyio.sleep(seconds)
        return given if value is None else value

    return wait


def virtually(backend: str, build: Callable[[], Pipeline], value: Any = None) -> tuple[Any, float]:
    """Run a pipeline in virtual time; return its result and the seconds it took."""

    async def run() -> tuple[Any, float]:
        async with Mesh() as mesh:
            ref = mesh.add(build())
            began = anyio.current_time()
            result = await ref.ask(value)
            return result, round(anyio.current_time() - began, 6)

    return run_virtually(backend, run)


# -- results -----------------------------------------------------------------------------------------------------------


async def test_values_go_from_stage_to_stage(mesh: Mesh) -> None:
    ref = mesh.add(pipeline(split, len, double))

    assert await ref.ask("a b c") == 6


async def test_every_word_means_what_it_says(mesh: Mesh) -> None:
    async def is_big(number: int) -> bool:
        return number > 50

    seen: list[int] = []
    built = (
        pipeline(double)
        >> tap(seen.append)
        >> parallel(double, str)
        >> branch(len, {2: lambda pair: pair[0]})
        >> loop(double, until=is_big, at_most=10)
        >> retry(double)
        >> fallback(double, int)
        >> timeout(double, 30)
    )

    assert await mesh.add(built).ask(3) == 12 * 2**6
    assert seen == [6]


async def test_side_by_side_gives_a_list_or_a_dict_in_the_order_written(mesh: Mesh) -> None:
    assert await mesh.add(parallel(str, double)).ask(2) == ["2", 4]
    assert await mesh.add(parallel(b=str, a=double).named("by-name")).ask(2) == {"b": "2", "a": 4}


async def test_a_key_without_a_stage_is_an_error_that_names_the_known_ones(mesh: Mesh) -> None:
    built = branch(lambda value: value, {"a": str, "b": str})

    with pytest.raises(NoBranchError, match=r"'c'.*'a', 'b'") as caught:
        await built.run("c")
    assert caught.value.__notes__ == ["in stage 'branch' (at 0) of pipeline 'pipeline'"]
    assert await branch(lambda _: [], {"a": str}, default=len).run("four") == 4
    assert await branch(pipeline(double, double), {4: str}).run(1) == "1"


async def test_a_loop_ends_when_it_is_done_or_at_its_limit() -> None:
    def never(_: int) -> bool:
        return False

    assert await loop(double, at_most=3).run(1) == 8
    assert await loop(double, until=never, at_most=3, at_limit="keep").run(1) == 8
    with pytest.raises(LoopLimitError) as caught:
        await loop(double, until=never, at_most=3).run(1)
    assert (caught.value.rounds, caught.value.value) == (3, 8)


async def test_a_function_may_take_the_context_of_its_kind(mesh: Mesh) -> None:
    async def on_loop(value: Any, context: Context) -> Any:
        return type(context).__name__, context.address, current.get() is context

    def in_thread(value: Any, context: BlockingContext) -> Any:
        return type(context).__name__, context.ask("echo", value), threading.current_thread().name

    mesh.add(Echo("echo"))
    one, two = await mesh.add(parallel(on_loop, in_thread)).ask("hello")

    assert one == ("Context", "pipeline", True)
    assert two[:2] == ("BlockingContext", "hello")
    assert two[2].startswith("ceylon test")


async def test_what_a_function_returns_unfinished_is_finished(mesh: Mesh) -> None:
    def coroutine(value: int) -> Any:
        return double(value)

    def generator(value: int) -> Any:
        return (number for number in range(value))

    assert await mesh.add(pipeline(coroutine, generator)).ask(2) == [0, 1, 2, 3]


# -- no barriers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stage_starts_the_moment_its_input_is_there(backend: str) -> None:
    log: list[Any] = []

    def build() -> Pipeline:
        return parallel(pipeline(after(0.1), after(0.2, "next", log)), after(1.0, "slow", log))

    result, seconds = virtually(backend, build)

    assert result == ["next", "slow"]
    assert seconds == 1.0
    assert dict(log)["next"] - dict(log)["slow"] == pytest.approx(0.1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_branches_of_unequal_depth_do_not_wait_for_each_other(backend: str) -> None:
    log: list[Any] = []
    deep = pipeline(*(after(0.1, name, log) for name in "abcd"))

    result, seconds = virtually(backend, lambda: parallel(deep, after(1.0, "slow", log)) >> count)

    assert (result, seconds) == (2, 1.0)
    began = dict(log)["slow"]
    assert [round(dict(log)[name] - began, 6) for name in "abcd"] == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_first_success_of_a_race_ends_it(backend: str) -> None:
    async def fail(_: Any) -> Any:
        raise ValueError

    assert virtually(backend, lambda: race(after(5, "slow"), fail, after(1, "fast"))) == ("fast", 1.0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stage_that_takes_too_long_is_cancelled(backend: str) -> None:
    async def run() -> float:
        async with Mesh() as mesh:
            ref = mesh.add(timeout(pipeline(after(50), name="slow"), 2))
            began = anyio.current_time()
            with pytest.raises(Exception, match="stage 'slow' took longer than 2 s") as caught:
                await ref.ask(1)
            assert isinstance(caught.value.__cause__, StageTimeoutError)
            return round(anyio.current_time() - began, 6)

    assert run_virtually(backend, run) == 2.0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_pauses_between_tries_grow(backend: str) -> None:
    began: list[float] = []

    async def fail_twice(_: Any) -> str:
        began.append(anyio.current_time())
        if len(began) < 3:
            raise ValueError
        return "at last"

    result, seconds = virtually(backend, lambda: retry(fail_twice, 5, pause=0.5, factor=3, jitter=0))

    assert (result, seconds) == ("at last", 2.0)
    assert began[1] - began[0] == pytest.approx(0.5)


# -- where it runs -----------------------------------------------------------------------------------------------------


async def test_it_runs_where_its_refs_are_and_is_gone_when_nobody_has_it(mesh: Mesh) -> None:
    built = mesh.add(Echo("echo")) >> len

    assert [await built.run("abc"), await built.run("ab")] == [3, 2]
    assert len(mesh.agents) == 2
    del built
    await until(lambda: mesh.agents == ["echo"])


async def test_a_private_agent_of_a_pipeline_hears_no_broadcast(mesh: Mesh) -> None:
    heard: list[Any] = []

    async def hear(value: Any) -> None:
        heard.append(value)

    built = mesh.add(Echo("echo")) >> hear
    await built.run("asked")

    assert await mesh.broadcast("to all") == 1
    await mesh.drain()
    assert heard == ["asked"]


async def test_in_a_handler_it_runs_in_the_same_mesh(mesh: Mesh) -> None:
    async def where(_: Any, context: Context) -> tuple[str, bool]:
        return context.interior.name, context.remaining is not None

    inner = pipeline(where)

    class Outer(Agent):
        async def on_message(self, message: Any) -> Any:
            return await inner.run(message)

    assert await mesh.add(Outer("outer")).ask("x", timeout=60) == ("test", True)


async def test_without_a_mesh_it_runs_in_the_default_one() -> None:
    async def where(_: Any, context: Context) -> str:
        return context.interior.name

    assert await pipeline(where).run(None) == "default"


def test_it_runs_from_plain_code() -> None:
    assert pipeline(split, len).blocking.run("a b") == 2
    assert [event.what for event in pipeline(split).blocking.stream("a")][-1] == "ended"
    assert pipeline(split).blocking.stream("a b").result() == ["a", "b"]
    with BlockingMesh() as mesh:
        assert mesh.add(pipeline(split, each(str.upper))).ask("a b") == ["A", "B"]


async def test_a_pipeline_that_was_added_runs_in_its_agent(mesh: Mesh) -> None:
    built = pipeline(split, len, name="count")
    ref = mesh.add(built)

    assert [await built.run("a"), await ref.ask("a b")] == [1, 2]
    assert mesh.agents == ["count"]
    assert mesh.statistics().agents["count"].completed == 2


async def test_the_deadline_of_a_run_goes_on_to_its_stages(mesh: Mesh) -> None:
    async def left(_: Any, context: Context) -> float | None:
        return context.remaining

    ref = mesh.add(pipeline(left))
    remaining, default = await ref.ask(None, timeout=70), await ref.ask(None)

    assert 0 < remaining <= 70
    assert 3_000 < default <= 3_600


@on_leaping_loops
async def test_a_run_that_takes_too_long_is_cancelled_with_all_its_tasks(mesh: Mesh) -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def hang(_: Any) -> None:
        begun.append("hang")
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("hang")

    ref = mesh.add(parallel(hang, pipeline(hang), each(hang)))
    async with leaping_when(lambda: len(begun) == 3, 60):
        with pytest.raises(AskTimeoutError):
            await ref.ask([1], timeout=60)
    await until(lambda: len(ended) == 3)
    await mesh.drain()
    assert mesh.statistics().agents["pipeline"].cancelled == 1


async def test_a_thread_does_not_keep_a_run_from_being_cancelled(mesh: Mesh) -> None:
    begun, may_end, cleaned = threading.Event(), threading.Event(), anyio.Event()

    def block(_: Any) -> None:
        begun.set()
        may_end.wait()

    async def hang(_: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.set()

    ref = mesh.add(parallel(block, hang))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ref.ask, None)
            await until(begun.is_set)
            tasks.cancel_scope.cancel()
        await until(cleaned.is_set)
        await until(lambda: mesh.statistics().threads.abandoned == 1)
    finally:
        may_end.set()


async def test_a_function_that_nobody_wants_any_more_never_begins_in_a_thread() -> None:
    begun, may_end, seen = threading.Event(), threading.Event(), list[str]()

    def block(_: Any) -> None:
        begun.set()
        may_end.wait()

    def late(_: Any) -> None:
        seen.append("late")

    async with lawful_mesh("narrow", settings=msgspec.structs.replace(DEFAULTS, threads=1)) as mesh:
        first, second = mesh.add(pipeline(block, name="first")), mesh.add(pipeline(late, name="second"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.ask, None)
            await until(begun.is_set)
            while not mesh.statistics().agents["second"].cancelled:  # a busy machine may take longer to begin
                with pytest.raises(AskTimeoutError):
                    await second.ask(None, timeout=0.02)
                await anyio.sleep(0.001)
            may_end.set()
        await mesh.add(pipeline(str, name="third")).ask(None)
    assert seen == []


async def test_a_stage_that_holds_up_the_loop_is_named(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    async def busy(_: Any) -> None:
        end = time.monotonic() + 10
        while "loop_blocked" not in caplog.text and time.monotonic() < end:
            sum(range(1_000))

    await mesh.add(pipeline(busy, name="news")).ask("now", timeout=30)

    assert "loop_blocked" in caplog.text
    assert "agent='news'" in caplog.text
    assert "in busy" in caplog.text


async def test_many_runs_go_on_at_a_time(mesh: Mesh) -> None:
    gate, begun = anyio.Event(), 0

    async def wait(_: Any) -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    ref, few = mesh.add(pipeline(wait)), mesh.add(pipeline(wait).named("few", concurrency=2))
    async with anyio.create_task_group() as tasks:
        for _ in range(70):
            tasks.start_soon(ref.ask, None)
        await until(lambda: begun == 64)
        for _ in range(3):
            tasks.start_soon(few.ask, None)
        await until(lambda: begun == 66)
        gate.set()
    assert begun == 73


async def test_a_flow_at_the_end_is_a_list_and_so_is_one_that_meets_a_plain_stage(mesh: Mesh) -> None:
    assert await mesh.add(pipeline(split, each(str.upper))).ask("a b") == ["A", "B"]
    assert await mesh.add(pipeline(split, each(str.upper), len).named("b")).ask("a b") == 2
    assert await mesh.add(pipeline(split, gather(), tuple).named("c")).ask("a b") == ("a", "b")
