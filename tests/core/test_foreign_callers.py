"""Callers from elsewhere: threads, other loops of either kind, many at once; and code that must not block at all."""

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, ClassVar

import anyio
import anyio.to_thread
import pytest
import trio

from ceylon import Agent, BlockingCallError, BlockingContext, BlockingMesh, HandlerError, Mesh, MeshClosedError, on
from ceylon.errors import AskTimeoutError, UnknownAgentError
from support.leftovers import DEADLINE, eventually, quick, tidy_mesh, wait_until


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh() as mesh:
        yield mesh


class Echo(Agent):
    """Answers on the loop."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.log: list[Any] = []
        self.is_cancelled = threading.Event()

    @on
    async def echo(self, word: str) -> str:
        self.log.append(word)
        return word

    @on
    async def wait(self, seconds: float) -> None:
        self.log.append("waits")
        try:
            await anyio.sleep_forever()
        finally:
            self.is_cancelled.set()

    @on
    async def fail(self, error: ValueError) -> None:
        raise error

    @on
    async def count(self, number: int) -> AsyncIterator[int]:
        try:
            while True:
                yield number
                number += 1
        finally:
            self.is_cancelled.set()


async def elsewhere(backend: str, function: Callable[[], Awaitable[Any]]) -> Any:
    """Run *function* on a loop of its own in a thread of its own."""
    return await anyio.to_thread.run_sync(lambda: anyio.run(function, backend=backend))


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


# -- other loops -------------------------------------------------------------------------------------------------------


@BACKENDS
async def test_every_verb_can_be_awaited_on_another_loop(backend: str, mesh: Mesh) -> None:
    agent = Echo("echo")
    ref = mesh.add(agent)

    async def use() -> list[Any]:
        await ref.tell("told")
        await mesh.drain()
        return [
            await ref.ask("asked"),
            await mesh.ask("echo", "asked again"),
            await mesh.broadcast("to all"),
            await mesh.publish("nobody.listens", 1),
            [number async for number in _first(ref.stream(1), 3)],
        ]

    got = await elsewhere(backend, use)
    await mesh.drain()

    assert got == ["asked", "asked again", 1, 0, [1, 2, 3]]
    assert agent.log == ["told", "asked", "asked again", "to all"]


async def _first(stream: Any, count: int) -> AsyncIterator[Any]:
    async with stream:
        async for part in stream:
            yield part
            count -= 1
            if not count:
                return


@BACKENDS
async def test_errors_come_through_to_another_loop(backend: str, mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))

    async def use() -> None:
        with pytest.raises(HandlerError, match="far away"):
            await ref.ask(ValueError("far away"))
        with pytest.raises(AskTimeoutError):
            await ref.ask(1.0, timeout=0.01)
        with pytest.raises(UnknownAgentError):
            await mesh.ask("ecko", "hello")
        with pytest.raises(BlockingCallError, match="tell_nowait"):
            ref.tell_nowait("now")

    await elsewhere(backend, use)


@BACKENDS
async def test_leaving_an_ask_on_another_loop_cancels_the_handler(backend: str, mesh: Mesh) -> None:
    agent = Echo("echo")
    ref = mesh.add(agent)

    async def use() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ref.ask, 1.0)
            await eventually(lambda: agent.log)
            group.cancel_scope.cancel()

    await elsewhere(backend, use)

    await eventually(agent.is_cancelled.is_set)
    await mesh.drain()
    assert mesh.statistics().agents["echo"].cancelled == 1
    assert mesh.statistics().pending_asks == 0


@BACKENDS
async def test_breaking_off_a_stream_on_another_loop_cancels_the_producer(backend: str, mesh: Mesh) -> None:
    agent = Echo("echo")
    ref = mesh.add(agent)

    async def use() -> list[int]:
        parts: list[int] = []
        async for part in ref.stream(1):
            parts.append(part)
            if len(parts) == 3:
                break
        return parts

    parts = await elsewhere(backend, use)

    await eventually(agent.is_cancelled.is_set)
    await mesh.drain()
    assert parts == [1, 2, 3]
    assert mesh.statistics().pending_asks == 0


@BACKENDS
async def test_a_loop_that_ends_while_it_waits_disturbs_nobody(backend: str, mesh: Mesh) -> None:
    agent = Echo("echo")
    ref = mesh.add(agent)

    async def use() -> None:
        with anyio.move_on_after(0.01):
            await ref.ask(1.0)

    for _ in range(5):
        await elsewhere(backend, use)
    await eventually(lambda: not mesh.statistics().pending_asks)

    assert await ref.ask("still here") == "still here"


async def test_five_loops_at_once_get_each_their_own_answers(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))
    got: dict[int, list[str]] = {}

    async def use(number: int) -> None:
        async def ask_often() -> None:
            words = [f"{number}-{word}" for word in range(50)]
            got[number] = [await ref.ask(word, timeout=DEADLINE) for word in words]
            assert got[number] == words

        await elsewhere("trio" if number % 2 else "asyncio", ask_often)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(use, number)

    assert sorted(got) == list(range(5))
    assert mesh.statistics().agents["echo"].completed == 250


async def test_fifty_asks_in_flight_from_one_other_loop(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))

    async def use() -> list[str]:
        return list(await asyncio.gather(*(ref.ask(str(number)) for number in range(50))))

    assert await elsewhere("asyncio", use) == [str(number) for number in range(50)]


async def test_another_loop_may_stop_an_agent_and_the_mesh(anyio_backend: str) -> None:
    mesh = await Mesh(settings=quick()).start()
    mesh.add(Echo("echo"))

    async def use() -> None:
        await mesh.stop("echo")
        await mesh.stop()

    await elsewhere("asyncio", use)

    assert not mesh.is_open


# -- threads -----------------------------------------------------------------------------------------------------------


async def test_every_verb_blocks_a_plain_thread(mesh: Mesh) -> None:
    agent = Echo("echo")
    mesh.add(agent)

    def use() -> list[Any]:
        blocking = mesh.blocking
        ref = blocking.ref("echo")
        ref.tell("told")
        ref.tell_nowait("told at once")
        blocking.drain()
        with ref.stream(1) as stream:
            parts = [next(stream) for _ in range(3)]
        return [ref.ask("asked"), blocking.ask("echo", "asked again"), blocking.broadcast("to all"), parts]

    got = await anyio.to_thread.run_sync(use)
    await mesh.drain()

    assert got == ["asked", "asked again", 1, [1, 2, 3]]
    assert agent.log == ["told", "told at once", "asked", "asked again", "to all"]
    await eventually(agent.is_cancelled.is_set)


async def test_a_thread_may_add_agents_and_look_in(mesh: Mesh) -> None:
    def use() -> Any:
        blocking = mesh.blocking
        ref = blocking.add(Echo("echo"))
        assert isinstance(blocking.agent("echo"), Echo)
        assert blocking.agents == ["echo"]
        answer = ref.ask("hello")
        completed = blocking.statistics().agents["echo"].completed
        blocking.stop(ref)
        return answer, completed, blocking.agents, blocking.dead_letters(), blocking.is_open

    assert await anyio.to_thread.run_sync(use) == ("hello", 1, [], [], True)


async def test_a_thread_that_breaks_off_a_stream_cancels_the_producer(mesh: Mesh) -> None:
    agent = Echo("echo")
    mesh.add(agent)

    def use() -> list[int]:
        parts: list[int] = []
        for part in mesh.blocking.stream("echo", 1):
            parts.append(part)
            if len(parts) == 3:
                break
        return parts

    assert await anyio.to_thread.run_sync(use) == [1, 2, 3]
    await eventually(agent.is_cancelled.is_set)


async def test_a_thread_that_waits_hears_of_the_end_of_the_mesh(anyio_backend: str) -> None:
    agent = Echo("echo")
    mesh = await Mesh(settings=quick(drain_timeout=0.05)).start()
    mesh.add(agent)
    errors: list[BaseException] = []

    def use() -> None:
        try:
            mesh.blocking.ask("echo", 1.0)
        except MeshClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    await eventually(lambda: agent.log)
    await mesh.stop()
    await anyio.to_thread.run_sync(thread.join, DEADLINE)

    assert len(errors) == 1


# -- where blocking is wrong -------------------------------------------------------------------------------------------


async def test_blocking_verbs_on_the_mesh_s_own_loop_raise_at_once_with_advice(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    blocking = mesh.blocking
    ref = blocking.ref("echo")
    verbs: list[Callable[[], Any]] = [
        lambda: ref.ask("hello"),
        lambda: ref.tell("hello"),
        lambda: ref.tell_nowait("hello"),
        lambda: next(ref.stream(1)),
        lambda: ref.call("action"),
        lambda: blocking.publish("topic", 1),
        lambda: blocking.broadcast(1),
        blocking.drain,
        blocking.wait,
        blocking.stop,
        lambda: blocking.stop("echo"),
        blocking.statistics,
    ]

    for verb in verbs:
        with pytest.raises(BlockingCallError, match="await"):
            verb()

    assert mesh.statistics().agents["echo"].accepted == 0


class Inline(Agent):
    """Runs on the loop, and may not wait there."""

    inline: ClassVar[bool] = True

    @on
    def use(self, verb: str, context: BlockingContext) -> Any:
        verbs: dict[str, Callable[[], Any]] = {
            "tell": lambda: context.tell("echo", "hello"),
            "ask": lambda: context.ask("echo", "hello"),
            "stream": lambda: next(context.stream("echo", 1)),
            "call": lambda: context.call("echo", "action"),
            "publish": lambda: context.publish("topic", 1),
            "broadcast": lambda: context.broadcast("hello"),
            "reply": lambda: context.reply("early"),
            "after": lambda: callable(context.after(60, "later").cancel),
        }
        return verbs[verb]()


@pytest.mark.parametrize("verb", ["tell", "ask", "stream", "call", "publish", "broadcast"])
async def test_an_inline_handler_cannot_wait(verb: str, mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    ref = mesh.add(Inline("inline"))

    with pytest.raises(HandlerError) as caught:
        await ref.ask(verb)

    assert isinstance(caught.value.root, BlockingCallError)
    assert "await" in str(caught.value.root)


@pytest.mark.parametrize(("verb", "answer"), [("reply", "early"), ("after", True)])
async def test_an_inline_handler_can_do_what_needs_no_waiting(verb: str, answer: Any, mesh: Mesh) -> None:
    ref = mesh.add(Inline("inline"))

    assert await ref.ask(verb) == answer


class SyncEcho(Agent):
    @on
    def relay(self, word: str, context: BlockingContext) -> Any:
        return context.ask("echo", word)

    @on
    def relay_by_ref(self, number: int) -> Any:
        return self.ref.blocking.using(timeout=DEADLINE).ask(str(number)) if number else None


async def test_a_handler_in_a_thread_may_wait_and_warns_nobody(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    ref = mesh.add(SyncEcho("relay"))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await ref.ask("hello") == "hello"


@pytest.fixture
def far_mesh() -> Iterator[BlockingMesh]:
    """A mesh on a loop of its own."""
    with BlockingMesh("far", settings=quick()) as mesh:
        mesh.add(Echo("echo"))
        yield mesh


@BACKENDS
def test_blocking_somebody_else_s_loop_works_and_warns_once(backend: str, far_mesh: BlockingMesh) -> None:
    async def use() -> str:
        answer: str = far_mesh.ask("echo", "hello")
        return answer + str(far_mesh.ask("echo", " again"))

    with pytest.warns(RuntimeWarning, match="`ask` holds up the event loop") as caught:
        assert anyio.run(use, backend=backend) == "hello again"

    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_no_loop_no_warning(far_mesh: BlockingMesh) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert far_mesh.ask("echo", "hello") == "hello"


@BACKENDS
def test_a_mesh_on_a_thread_can_be_awaited_across_runs(backend: str, far_mesh: BlockingMesh) -> None:
    from ceylon import Ref  # noqa: PLC0415 – the async handle on a blocking mesh's agent

    ref = Ref(far_mesh.interior, "echo")

    async def use() -> str:
        answer: str = await ref.ask("hello")
        return answer

    assert [anyio.run(use, backend=backend) for _ in range(3)] == ["hello"] * 3


def test_a_trio_loop_in_the_main_thread_may_be_cancelled_while_it_asks(far_mesh: BlockingMesh) -> None:
    from ceylon import Ref  # noqa: PLC0415 – as above

    ref = Ref(far_mesh.interior, "echo")

    echo = far_mesh.agent("echo")
    assert isinstance(echo, Echo)
    begun = echo.log

    async def use() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.ask, 1.0)
            await eventually(lambda: begun)
            nursery.cancel_scope.cancel()

    trio.run(use)

    wait_until(lambda: far_mesh.statistics().agents["echo"].cancelled == 1)


async def test_a_closed_mesh_says_so_from_afar(anyio_backend: str) -> None:
    async with Mesh("shut", settings=quick()) as mesh:
        ref = mesh.add(Echo("echo"))
    errors: list[str] = []

    async def use() -> None:
        for ask in (ref.ask("hello"), ref.tell("hello"), ref.stream(1).result(), mesh.drain()):
            try:
                await ask
            except MeshClosedError as error:
                errors.append(str(error))

    await elsewhere("asyncio", use)
    await elsewhere("trio", use)

    def block() -> None:
        for verb in (ref.blocking.ask, ref.blocking.tell, ref.blocking.tell_nowait):
            with pytest.raises(MeshClosedError, match="shut"):
                verb("hello")

    await anyio.to_thread.run_sync(block)
    assert len(errors) == 8
    assert all("'shut'" in error for error in errors)
