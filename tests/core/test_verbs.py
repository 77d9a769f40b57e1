"""Every verb, on every kind of handler, from everywhere one can stand on the mesh's loop or in one of its threads."""

import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

import anyio
import pytest

from ceylon import (
    Agent,
    BlockingCallError,
    BlockingContext,
    Context,
    HandlerError,
    Mesh,
    MeshClosedError,
    Message,
    Ref,
    action,
    on,
)
from support.core_agents import Echo, Held, Keeper, until
from support.leaps import leap, on_leaping_loops


class Twice(Message[int]):
    number: int


class AsyncClerk(Agent):
    """Handles on the loop."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.handled: list[Any] = []
        self.threads: list[int] = []

    def note(self, message: Any) -> None:
        self.handled.append(message)
        self.threads.append(threading.get_ident())

    @on
    async def twice(self, message: Twice) -> int:
        self.note(message)
        return 2 * message.number

    @on(topic="numbers")
    async def number(self, message: int) -> None:
        self.note(message)

    @on
    async def text(self, message: str) -> None:
        self.note(message)

    @action
    async def add(self, a: int, b: int) -> int:
        self.note("add")
        return a + b


class SyncClerk(AsyncClerk):
    """Handles in worker threads."""

    @on
    def twice(self, message: Twice) -> int:  # type: ignore[override]
        self.note(message)
        return 2 * message.number

    @on(topic="numbers")
    def number(self, message: int) -> None:  # type: ignore[override]
        self.note(message)

    @on
    def text(self, message: str) -> None:  # type: ignore[override]
        self.note(message)

    @action
    def add(self, a: int, b: int) -> int:  # type: ignore[override]
        self.note("add")
        return a + b


class InlineClerk(SyncClerk):
    """Handles on the loop, by plain functions."""

    inline = True


# -- where the caller stands -------------------------------------------------------------------------------------------

Verbs = Callable[..., Coroutine[Any, Any, Any]]


class Caller(Message[Any]):
    """Use the verb of this name."""

    verb: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class AsyncCaller(Agent):
    """Uses verbs of its `Context`."""

    @on
    async def use(self, caller: Caller, context: Context) -> Any:
        if caller.verb == "stream":
            return [part async for part in context.stream(*caller.arguments)]
        return await getattr(context, caller.verb)(*caller.arguments, **caller.options)


class SyncCaller(Agent):
    """Uses verbs of its `BlockingContext`."""

    @on
    def use(self, caller: Caller, context: BlockingContext) -> Any:
        if caller.verb == "stream":
            return list(context.stream(*caller.arguments))
        return getattr(context, caller.verb)(*caller.arguments, **caller.options)


async def through_a_ref(mesh: Mesh, verb: str, recipient: str, *arguments: Any, **options: Any) -> Any:
    ref = mesh.ref(recipient)
    if verb == "stream":
        return [part async for part in ref.stream(*arguments)]
    return await getattr(ref, verb)(*arguments, **options)


async def through_the_mesh(mesh: Mesh, verb: str, *arguments: Any, **options: Any) -> Any:
    if verb == "stream":
        return [part async for part in mesh.stream(*arguments)]
    return await getattr(mesh, verb)(*arguments, **options)


async def through_a_context(mesh: Mesh, verb: str, *arguments: Any, **options: Any) -> Any:
    return await mesh.ask("async-caller", Caller(verb, arguments, options))


async def through_a_blocking_context(mesh: Mesh, verb: str, *arguments: Any, **options: Any) -> Any:
    return await mesh.ask("sync-caller", Caller(verb, arguments, options))


async def through_a_thread(mesh: Mesh, verb: str, *arguments: Any, **options: Any) -> Any:
    def use() -> Any:
        if verb == "stream":
            return list(mesh.blocking.stream(*arguments))
        return getattr(mesh.blocking, verb)(*arguments, **options)

    return await anyio.to_thread.run_sync(use)


async def through_a_blocking_ref(mesh: Mesh, verb: str, recipient: str, *arguments: Any, **options: Any) -> Any:
    def use() -> Any:
        ref = mesh.ref(recipient).blocking
        return list(ref.stream(*arguments)) if verb == "stream" else getattr(ref, verb)(*arguments, **options)

    return await anyio.to_thread.run_sync(use)


ADDRESSED: Final = [
    through_a_ref,
    through_the_mesh,
    through_a_context,
    through_a_blocking_context,
    through_a_thread,
    through_a_blocking_ref,
]
MANY: Final = [through_the_mesh, through_a_context, through_a_blocking_context, through_a_thread]
CLERKS: Final = [AsyncClerk, SyncClerk, InlineClerk]

every_way = pytest.mark.parametrize("use", ADDRESSED, ids=lambda way: way.__name__)
every_way_to_many = pytest.mark.parametrize("use", MANY, ids=lambda way: way.__name__)
every_clerk = pytest.mark.parametrize("kind", CLERKS, ids=lambda kind: kind.__name__)


@pytest.fixture
async def callers(mesh: Mesh) -> None:
    mesh.add(AsyncCaller("async-caller"))
    mesh.add(SyncCaller("sync-caller"))


# -- the matrix --------------------------------------------------------------------------------------------------------


@every_way
@every_clerk
async def test_a_tell_is_handled(mesh: Mesh, callers: None, use: Verbs, kind: type[AsyncClerk]) -> None:
    clerk = kind("clerk")
    mesh.add(clerk)

    assert await use(mesh, "tell", "clerk", "tea") is None

    await until(lambda: clerk.handled == ["tea"])


@every_way
@every_clerk
async def test_an_ask_is_answered(mesh: Mesh, callers: None, use: Verbs, kind: type[AsyncClerk]) -> None:
    mesh.add(kind("clerk"))

    assert await use(mesh, "ask", "clerk", Twice(3)) == 6


@every_way
@every_clerk
async def test_a_plain_answer_is_a_stream_of_one_part(
    mesh: Mesh, callers: None, use: Verbs, kind: type[AsyncClerk]
) -> None:
    mesh.add(kind("clerk"))

    assert await use(mesh, "stream", "clerk", Twice(3)) == [6]


@every_way
@every_clerk
async def test_an_action_is_called(mesh: Mesh, callers: None, use: Verbs, kind: type[AsyncClerk]) -> None:
    mesh.add(kind("clerk"))

    assert await use(mesh, "call", "clerk", "add", a=2, b=3) == 5


@every_way_to_many
@every_clerk
async def test_a_publication_reaches_its_subscriber(
    mesh: Mesh, callers: None, use: Verbs, kind: type[AsyncClerk]
) -> None:
    clerk = kind("clerk")
    mesh.add(clerk)

    assert await use(mesh, "publish", "numbers", 7) == 1

    await until(lambda: clerk.handled == [7])


@every_way_to_many
@every_clerk
async def test_a_broadcast_reaches_all_but_those_left_out(
    mesh: Mesh, callers: None, use: Verbs, kind: type[AsyncClerk]
) -> None:
    clerks = [kind("one"), kind("two"), kind("three")]
    for clerk in clerks:
        mesh.add(clerk)

    reached = await use(mesh, "broadcast", "tea", exclude=["two", "async-caller", "sync-caller"])

    assert reached == 2
    await until(lambda: clerks[0].handled == clerks[2].handled == ["tea"])
    assert clerks[1].handled == []


# -- where handlers run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "on_loop"), [(AsyncClerk, True), (SyncClerk, False), (InlineClerk, True)])
@pytest.mark.parametrize("verb", ["ask", "tell", "stream", "call", "publish"])
async def test_plain_handlers_run_in_threads_and_all_others_on_the_loop(
    mesh: Mesh, kind: type[AsyncClerk], verb: str, *, on_loop: bool
) -> None:
    clerk = kind("clerk")
    ref = mesh.add(clerk)

    match verb:
        case "ask":
            await ref.ask(Twice(1))
        case "tell":
            await ref.tell(Twice(1))
        case "stream":
            await ref.stream(Twice(1)).result()
        case "call":
            await ref.call("add", a=1, b=1)
        case _:
            await mesh.publish("numbers", 1)

    await until(lambda: clerk.threads)
    assert (clerk.threads == [threading.get_ident()]) is on_loop


async def test_one_handler_of_a_class_may_be_inline(mesh: Mesh) -> None:
    class Clerk(Agent):
        @on(inline=True)
        def here(self, message: int) -> int:
            return threading.get_ident()

        @on
        def elsewhere(self, message: str) -> int:
            return threading.get_ident()

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask(1) == threading.get_ident()
    assert await clerk.ask("1") != threading.get_ident()


async def test_one_handler_of_an_inline_class_may_run_in_a_thread(mesh: Mesh) -> None:
    class Clerk(Agent):
        inline = True

        @on(inline=False)
        def elsewhere(self, message: str) -> int:
            return threading.get_ident()

    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask("1") != threading.get_ident()


async def test_a_waiting_verb_of_an_inline_handler_says_what_to_write(mesh: Mesh) -> None:
    class Clerk(Agent):
        inline = True

        def on_message(self, message: Any, context: BlockingContext) -> Any:
            return context.ask("echo", message)

    mesh.add(Echo("echo"))
    clerk = mesh.add(Clerk("clerk"))

    with pytest.raises(HandlerError) as caught:
        await clerk.ask("tea")

    assert isinstance(caught.value.root, BlockingCallError)


# -- generator handlers ------------------------------------------------------------------------------------------------


class Teller(Agent):
    """Tells in parts, by every kind of generator."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.finished: list[str] = []
        self.threads: list[int] = []

    @on
    async def by_async_generator(self, message: int) -> AsyncIterator[int]:
        for number in range(message):
            yield number
        self.finished.append("int")

    @on
    def by_generator(self, message: str) -> Iterator[int]:
        for number in range(int(message)):
            self.threads.append(threading.get_ident())
            yield number
        self.finished.append("str")

    @on(inline=True)
    def by_inline_generator(self, message: bytes) -> Iterator[int]:
        yield from range(int(message))
        self.finished.append("bytes")

    @on
    async def by_returned_async_generator(self, message: float) -> AsyncIterator[int]:
        return self.by_async_generator(int(message))

    @on
    async def by_returned_generator_of_async(self, message: tuple) -> Iterator[int]:  # type: ignore[type-arg]
        return self.by_inline_generator(str(len(message)).encode())

    @on
    def by_returned_generator(self, message: list) -> Iterator[int]:  # type: ignore[type-arg]
        return self.by_generator(str(len(message)))

    @on
    def by_returned_async_generator_of_sync(self, message: set) -> AsyncIterator[int]:  # type: ignore[type-arg]
        return self.by_async_generator(len(message))

    @on
    def by_returned_coroutine(self, message: frozenset) -> Any:  # type: ignore[type-arg]
        async def answer() -> list[int]:
            return list(range(len(message)))

        return answer()


GENERATORS: Final = [(3, "int"), ("3", "str"), (b"3", "bytes"), (3.0, "int"), ((1, 2, 3), "bytes"), ([1, 2, 3], "str")]
GENERATORS_TOO: Final = [*GENERATORS, ({1, 2, 3}, "int")]

every_generator = pytest.mark.parametrize(
    ("message", "finished"), GENERATORS_TOO, ids=[type(message).__name__ for message, _ in GENERATORS_TOO]
)


@every_generator
async def test_an_ask_of_a_generator_is_answered_by_the_list_of_its_parts(
    mesh: Mesh, message: Any, finished: str
) -> None:
    teller = Teller("teller")
    ref = mesh.add(teller)

    assert await ref.ask(message) == [0, 1, 2]
    assert teller.finished == [finished]


@every_generator
async def test_a_stream_of_a_generator_gives_its_parts(mesh: Mesh, message: Any, finished: str) -> None:
    teller = Teller("teller")
    ref = mesh.add(teller)

    assert [part async for part in ref.stream(message)] == [0, 1, 2]
    assert teller.finished == [finished]


@every_generator
async def test_a_tell_to_a_generator_runs_it_to_its_end(mesh: Mesh, message: Any, finished: str) -> None:
    teller = Teller("teller")
    ref = mesh.add(teller)

    await ref.tell(message)
    await mesh.drain()

    assert teller.finished == [finished]
    assert mesh.statistics().agents["teller"].completed == 1


async def test_a_coroutine_that_a_plain_handler_returns_is_awaited(mesh: Mesh) -> None:
    ref = mesh.add(Teller("teller"))

    assert await ref.ask(frozenset((1, 2))) == [0, 1]
    assert await ref.stream(frozenset((1, 2))).result() == [[0, 1]]
    await ref.tell(frozenset((1, 2)))


@pytest.mark.parametrize("message", ["3", [1, 2, 3]], ids=["is a generator", "returns one"])
@pytest.mark.parametrize("verb", ["ask", "tell", "stream"])
async def test_a_plain_generator_is_run_off_the_loop(mesh: Mesh, message: Any, verb: str) -> None:
    teller = Teller("teller")
    ref = mesh.add(teller)

    match verb:
        case "ask":
            await ref.ask(message)
        case "tell":
            await ref.tell(message)
            await mesh.drain()
        case _:
            await ref.stream(message).result()

    assert len(teller.threads) == 3
    assert threading.get_ident() not in teller.threads


async def test_a_generator_without_parts_is_an_empty_list_and_an_empty_stream(mesh: Mesh) -> None:
    ref = mesh.add(Teller("teller"))

    assert await ref.ask(0) == []
    assert [part async for part in ref.stream(0)] == []
    assert [part async for part in ref.stream("0")] == []


async def test_an_answer_of_none_is_a_stream_without_parts(mesh: Mesh) -> None:
    ref = mesh.add(AsyncClerk("clerk"))

    assert [part async for part in ref.stream("tea")] == []


async def test_parts_that_are_none_are_parts(mesh: Mesh) -> None:
    class Silent(Agent):
        async def on_message(self, message: int) -> AsyncIterator[None]:
            for _ in range(message):
                yield None

    ref = mesh.add(Silent("silent"))

    assert await ref.ask(2) == [None, None]
    assert [part async for part in ref.stream(2)] == [None, None]


# -- the law holds at every moment -------------------------------------------------------------------------------------


async def test_what_a_plain_handler_returns_unfinished_is_pending_once(mesh: Mesh) -> None:
    class Clerk(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.gate = anyio.Event()
            self.has_begun = False

        def on_message(self, message: Any) -> Any:
            async def answer() -> Any:
                self.has_begun = True
                await self.gate.wait()
                return message

            return answer()

    clerk = Clerk("clerk")
    ref = mesh.add(clerk)

    await ref.tell("tea")
    await until(lambda: clerk.has_begun)

    assert mesh.statistics().agents["clerk"].pending == 1
    clerk.gate.set()
    await mesh.drain()
    assert mesh.statistics().agents["clerk"].completed == 1


async def test_what_a_plain_handler_returns_unfinished_is_one_of_one_at_a_time(mesh: Mesh) -> None:
    class Clerk(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.at_once = self.at_most = 0

        def on_message(self, message: Any) -> Any:
            async def answer() -> Any:
                self.at_once += 1
                self.at_most = max(self.at_most, self.at_once)
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                self.at_once -= 1
                return message

            return answer()

    clerk = Clerk("clerk")
    ref = mesh.add(clerk)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ref.ask, number)

    assert clerk.at_most == 1


# -- what a handler knows ----------------------------------------------------------------------------------------------


class Curious(Agent):
    """Answers with what its context knows."""

    @on
    async def on_loop(self, message: str, context: Context) -> dict[str, Any]:
        return self.facts(context)

    @on
    def in_thread(self, message: bytes, context: BlockingContext) -> dict[str, Any]:
        return self.facts(context)

    @staticmethod
    def facts(context: Context | BlockingContext) -> dict[str, Any]:
        return {
            "address": context.address,
            "sender": context.sender,
            "recipient": context.recipient,
            "message_id": context.message_id,
            "deadline": context.deadline,
            "remaining": context.remaining,
            "budget": context.budget,
            "repr": repr(context),
        }


async def test_a_plain_function_may_use_the_verbs_of_the_mesh_in_a_handlers_thread(mesh: Mesh) -> None:
    class Clerk(Agent):
        def on_message(self, message: Any) -> Any:
            return echo.blocking.ask(message)

    echo = mesh.add(Echo("echo"))
    clerk = mesh.add(Clerk("clerk"))

    assert await clerk.ask("tea") == "tea"


@pytest.mark.parametrize("message", ["tea", b"tea"])
async def test_a_context_knows_the_message_it_is_for(mesh: Mesh, message: Any) -> None:
    ref = mesh.add(Curious("curious"))

    facts = await ref.ask(message, timeout=70)

    assert (facts["address"], facts["sender"], facts["recipient"]) == ("curious", "", "curious")
    assert facts["deadline"] is not None
    assert 60 < facts["remaining"] <= 70
    assert facts["budget"] is None
    assert "'curious'" in facts["repr"]


@pytest.mark.parametrize("message", ["tea", b"tea"])
@pytest.mark.parametrize("caller", ["async-caller", "sync-caller"])
async def test_a_context_knows_the_agent_that_sent_the_message(
    mesh: Mesh, callers: None, message: Any, caller: str
) -> None:
    mesh.add(Curious("curious"))

    facts = await mesh.ask(caller, Caller("ask", ("curious", message), {}))

    assert facts["sender"] == caller


async def test_a_tell_has_no_deadline(mesh: Mesh) -> None:
    class Clerk(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.known: list[Any] = []

        async def on_message(self, message: Any, context: Context) -> None:
            self.known.append((context.deadline, context.remaining))

    clerk = Clerk("clerk")
    ref = mesh.add(clerk)

    await ref.tell("tea")
    await mesh.drain()

    assert clerk.known == [(None, None)]


async def test_every_message_has_an_id_of_its_own_also_in_another_mesh(mesh: Mesh) -> None:
    ref = mesh.add(Curious("curious"))
    async with Mesh("other") as other:
        other.add(Curious("curious"))

        facts = [await ref.ask("tea") for _ in range(3)] + [await other.ask("curious", "tea") for _ in range(3)]

    assert len({each["message_id"] for each in facts}) == 6


async def test_the_log_of_a_context_is_bound_to_the_agent_and_the_message(mesh: Mesh) -> None:
    class Clerk(Agent):
        async def on_message(self, message: Any, context: Context) -> tuple[dict[str, Any], str]:
            return dict(context.log._context), context.message_id  # noqa: SLF001 – structlog's way to look into a binding

    bound, message_id = await mesh.add(Clerk("clerk")).ask("tea")

    assert bound == {"agent": "clerk", "message_id": message_id}


async def test_a_verb_in_a_handler_is_part_of_what_the_handler_does_also_through_a_ref(mesh: Mesh) -> None:
    class Clerk(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            return await curious.ask(message)

    curious = mesh.add(Curious("curious"))

    facts = await mesh.add(Clerk("clerk")).ask("tea", timeout=20)

    assert facts["sender"] == "clerk"
    assert facts["remaining"] <= 20


async def test_a_context_makes_refs_to_itself_and_to_others(mesh: Mesh) -> None:
    class Clerk(Agent):
        async def on_message(self, message: Any, context: Context) -> tuple[Ref, Ref]:
            return context.ref(), context.ref("echo")

    clerk, echo = mesh.add(Clerk("clerk")), mesh.add(Echo("echo"))

    assert await clerk.ask("tea") == (clerk, echo)


# -- replying early ----------------------------------------------------------------------------------------------------


class Early(Agent):
    """Replies before it ends, then returns what it is told to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gate = anyio.Event()
        self.thread_gate = threading.Event()
        self.ended = 0

    @on
    async def on_loop(self, after: str | None, context: Context) -> str | None:
        context.reply("early")
        await self.gate.wait()
        self.ended += 1
        if after == "raise":
            raise ValueError(after)
        return after

    @on
    def in_thread(self, after: bytes, context: BlockingContext) -> bytes:
        context.reply("early")
        assert self.thread_gate.wait(5)
        self.ended += 1
        if after == b"raise":
            raise ValueError(after)
        return after


@pytest.mark.parametrize("after", [None, "late", "raise", b"late", b"raise"])
async def test_an_early_reply_is_the_only_reply(mesh: Mesh, after: Any) -> None:
    early = Early("early")
    ref = mesh.add(early)

    assert await ref.ask(after) == "early"
    assert early.ended == 0
    assert mesh.statistics().pending_asks == 0

    early.gate.set()
    early.thread_gate.set()
    await mesh.drain()
    statistics = mesh.statistics()
    assert early.ended == 1
    assert statistics.agents["early"].completed + statistics.agents["early"].failed == 1
    assert statistics.late_replies == 0


async def test_the_second_of_two_replies_is_late(mesh: Mesh) -> None:
    class Clerk(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            context.reply(1)
            context.reply(2)

    assert await mesh.add(Clerk("clerk")).ask("tea") == 1
    await mesh.drain()
    assert mesh.statistics().late_replies == 1


async def test_a_reply_to_a_tell_goes_nowhere_and_hurts_nobody(mesh: Mesh) -> None:
    class Clerk(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            context.reply(1)

    await mesh.add(Clerk("clerk")).tell("tea")
    await mesh.drain()

    assert mesh.statistics().agents["clerk"].completed == 1


@on_leaping_loops
async def test_a_handler_that_replied_early_is_not_cancelled_by_the_deadline_it_has_met(mesh: Mesh) -> None:
    early = Early("early")
    ref = mesh.add(early)

    await ref.ask("late", timeout=60)
    leap(61)  # past the deadline
    await anyio.sleep(0.01)
    early.gate.set()
    await mesh.drain()

    assert early.ended == 1
    assert mesh.statistics().agents["early"].cancelled == 0


# -- refs --------------------------------------------------------------------------------------------------------------


async def test_refs_to_one_address_are_equal_and_hash_alike(mesh: Mesh) -> None:
    echo = mesh.add(Echo("echo"))

    assert echo == mesh.ref("echo") == mesh.ref(echo)
    assert len({echo, mesh.ref("echo"), mesh.ref("other")}) == 2
    assert echo != mesh.ref("other")
    assert echo != "echo"
    assert repr(echo) == "<Ref 'echo' in mesh 'test'>"
    assert repr(echo.blocking) == "<BlockingRef 'echo' in mesh 'test'>"


async def test_refs_in_two_meshes_differ(mesh: Mesh) -> None:
    other = Mesh("test")

    assert mesh.ref("echo") != other.ref("echo")


async def test_a_ref_may_be_sent_and_used_by_whoever_gets_it(mesh: Mesh) -> None:
    class Clerk(Agent):
        @on
        async def meet(self, other: Ref) -> Any:
            return await other.ask("hello")

    echo = mesh.add(Echo("echo"))

    assert await mesh.add(Clerk("clerk")).ask(echo) == "hello"


async def test_an_agents_own_ref_is_the_one_its_mesh_gives(mesh: Mesh) -> None:
    agent = Echo("echo")
    with pytest.raises(MeshClosedError, match="is in none; add it to one first"):
        agent.ref  # noqa: B018 – the point of the test

    ref = mesh.add(agent)

    assert agent.ref == ref
    assert await agent.ref.ask("tea") == "tea"


async def test_verbs_take_a_ref_where_they_take_an_address(mesh: Mesh) -> None:
    echo = mesh.add(Echo("echo"))

    assert await mesh.ask(echo, 1) == 1
    assert await mesh.stream(echo, 1).result() == [1]
    await mesh.tell(echo, 1)
    mesh.tell_nowait(echo, 1)
    assert await mesh.broadcast(1, exclude=[echo]) == 0


async def test_options_of_a_ref_hold_for_its_verbs_and_leave_the_ref_as_it_is(mesh: Mesh) -> None:
    ref = mesh.add(Curious("curious"))
    hurried = ref.using(timeout=10)

    assert (await hurried.ask("tea"))["remaining"] <= 10
    assert (await hurried.stream("tea").result())[0]["remaining"] <= 10
    assert (await hurried.ask("tea", timeout=600))["remaining"] > 500
    assert (await ref.ask("tea"))["remaining"] > 10
    assert hurried == ref


async def test_every_keyword_of_a_call_belongs_to_the_action(mesh: Mesh) -> None:
    class Clerk(Agent):
        @action
        async def search(self, name: str, timeout: float, message: str, recipient: str, action: str) -> list[Any]:
            return [name, timeout, message, recipient, action]

    clerk = mesh.add(Clerk("clerk"))
    arguments = {"name": "n", "timeout": 2.0, "message": "m", "recipient": "r", "action": "a"}

    assert await clerk.call("search", **arguments) == ["n", 2.0, "m", "r", "a"]
    assert await mesh.call("clerk", "search", **arguments) == ["n", 2.0, "m", "r", "a"]


# -- the mesh ----------------------------------------------------------------------------------------------------------


async def test_draining_waits_for_what_is_in_mailboxes_and_handlers_and_for_what_that_sends(mesh: Mesh) -> None:
    class Chain(Agent):
        async def on_message(self, message: int, context: Context) -> None:
            await anyio.lowlevel.checkpoint()
            await context.tell("keeper" if message == 0 else "chain", message - 1)

    keeper = Keeper("keeper")
    mesh.add(keeper)

    await mesh.add(Chain("chain")).tell(10)
    await mesh.drain()

    assert keeper.kept == [-1]
    assert mesh.is_open


async def test_draining_a_quiet_mesh_returns_at_once(mesh: Mesh) -> None:
    with anyio.fail_after(20):
        await mesh.drain()


async def test_a_tell_returns_when_the_message_is_in_the_mailbox_and_not_when_it_is_handled(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    with anyio.fail_after(20):
        await ref.tell(1)
        await ref.tell(2)

    await until(lambda: held.begun == [1])
    assert held.ended == []
    held.gate.set()


async def test_a_verb_on_a_mesh_that_was_never_opened_says_so() -> None:
    mesh = Mesh("market")
    ref = mesh.add(Echo("echo"))

    for verb in (ref.ask(1), ref.tell(1), ref.stream(1).result(), ref.call("x"), mesh.publish("a", 1), mesh.drain()):
        with pytest.raises(MeshClosedError, match="mesh 'market' takes no messages: it has not been started"):
            await verb
    with pytest.raises(MeshClosedError):
        ref.tell_nowait(1)


async def test_a_verb_on_a_closed_mesh_says_so(anyio_backend: str) -> None:
    async with Mesh("market") as mesh:
        ref = mesh.add(Echo("echo"))

    for verb in (ref.ask(1), ref.tell(1), ref.stream(1).result(), ref.call("x"), mesh.publish("a", 1), mesh.drain()):
        with pytest.raises(MeshClosedError):
            await verb
    with pytest.raises(MeshClosedError):
        ref.tell_nowait(1)
    with pytest.raises(MeshClosedError):
        mesh.add(Echo("other"))
