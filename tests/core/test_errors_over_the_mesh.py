"""What an asker is told when something goes wrong elsewhere."""

import pickle
from typing import Any

import anyio
import pytest

import ceylon
from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingContext,
    CeylonError,
    Context,
    DeadlockError,
    HandlerError,
    Mesh,
    MeshClosedError,
    Message,
    UnhandledMessageError,
    UnknownAgentError,
    errors,
    on,
)
from ceylon.errors import DeliveryError, InvalidNameError
from support.core_agents import Ask, Echo, Failing, Held, Keeper, Relay, ThreadRelay, until

# -- handler errors ----------------------------------------------------------------------------------------------------


class Wish(Message):
    sku: str


class NoTeaError(Exception):
    """An error of the user's."""


class Shop(Agent):
    @on
    async def order(self, order: Wish) -> None:
        raise NoTeaError(order.sku)


async def test_an_error_of_a_handler_names_the_agent_the_message_and_the_error(mesh: Mesh) -> None:
    with pytest.raises(HandlerError, match=r"agent shop failed on Wish: NoTeaError: assam") as caught:
        await mesh.add(Shop("shop")).ask(Wish("assam"))

    error = caught.value
    assert (error.agent, error.path, error.message_type) == ("shop", ("shop",), "Wish")
    assert isinstance(error.root, NoTeaError)
    assert error.__cause__ is error.root


@pytest.mark.parametrize("kind", [Relay, ThreadRelay])
async def test_an_error_is_wrapped_once_over_three_agents(mesh: Mesh, kind: type[Relay] | type[ThreadRelay]) -> None:
    mesh.add(Shop("shop"))
    mesh.add(kind("second"))

    with pytest.raises(HandlerError, match=r"agent first → second → shop failed on Wish: NoTeaError: assam") as caught:
        await mesh.add(kind("first")).ask(Ask(("second", "shop"), Wish("assam")))

    error = caught.value
    assert error.path == ("first", "second", "shop")
    assert error.agent == "shop"
    assert error.message_type == "Wish"
    assert isinstance(error.root, NoTeaError)
    assert error.__cause__ is error.root


async def test_the_agents_on_the_way_count_it_as_their_failure_too(mesh: Mesh) -> None:
    mesh.add(Shop("shop"))

    with pytest.raises(HandlerError):
        await mesh.add(Relay("relay")).ask(Ask(("shop",), Wish("assam")))

    agents = mesh.statistics().agents
    assert (agents["shop"].failed, agents["relay"].failed) == (1, 1)


async def test_an_agent_that_catches_the_error_answers_as_if_nothing_was(mesh: Mesh) -> None:
    class Calm(Agent):
        async def on_message(self, message: Any, context: Context) -> str:
            try:
                await context.ask("shop", Wish("assam"))
            except HandlerError as error:
                return type(error.root).__name__
            return "no error"

    mesh.add(Shop("shop"))

    assert await mesh.add(Calm("calm")).ask("tea") == "NoTeaError"
    assert mesh.statistics().agents["calm"].failed == 0


async def test_another_error_raised_from_it_is_the_new_root(mesh: Mesh) -> None:
    class Translating(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            try:
                await context.ask("shop", Wish("assam"))
            except HandlerError as error:
                raise LookupError("sold out") from error

    mesh.add(Shop("shop"))

    with pytest.raises(HandlerError) as caught:
        await mesh.add(Translating("clerk")).ask("tea")

    assert caught.value.path == ("clerk",)
    assert isinstance(caught.value.root, LookupError)
    assert isinstance(caught.value.root.__cause__, HandlerError)


class UnhashableError(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class WordlessError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no words")


class PickyError(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.a, self.b = a, b


class SlottedError(Exception):
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


@pytest.mark.parametrize(
    "error",
    [
        UnhashableError(),
        SilentError(),
        WordlessError(),
        PickyError(1, 2),
        SlottedError(),
        ExceptionGroup("g", [ValueError()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_errors_of_every_make_arrive(mesh: Mesh, error: Exception) -> None:
    mesh.add(Failing("failing"))

    with pytest.raises(HandlerError) as caught:
        await mesh.add(Relay("relay")).ask(Ask(("failing",), error))

    assert caught.value.root is error
    assert str(caught.value).startswith("agent relay → failing failed on")
    assert await mesh.ask("failing", 5) == 5


@pytest.mark.parametrize("error", [UnhashableError(), SilentError(), WordlessError(), PickyError(1, 2)])
async def test_errors_of_every_make_are_dead_letters_when_nobody_asked(mesh: Mesh, error: Exception) -> None:
    ref = mesh.add(Failing("failing"))

    await ref.tell(error)
    await mesh.drain()

    assert mesh.statistics().agents["failing"].failed == 1
    assert type(error).__name__ in mesh.dead_letters()[0].detail


@pytest.mark.parametrize(
    "error", [SystemExit(1), GeneratorExit(), MemoryError(), RecursionError(), StopIteration(5), StopAsyncIteration()]
)
async def test_errors_that_python_treats_apart_fail_their_message_only(mesh: Mesh, error: BaseException) -> None:
    class Clerk(Failing):
        @on
        def fail_in_a_thread(self, message: list) -> None:  # type: ignore[type-arg]
            raise message[0]

    ref = mesh.add(Clerk("clerk"))

    for message in (error, [error]):
        with pytest.raises(HandlerError) as caught:
            await ref.ask(message)
        root: BaseException | None = caught.value.root
        assert error in (root, root.__cause__ if root else None)  # a coroutine turns StopIteration into RuntimeError
    assert await ref.ask(5) == 5


async def test_an_error_raised_twice_is_the_same_error_in_two_failures(mesh: Mesh) -> None:
    error = ValueError("tea")
    ref = mesh.add(Failing("failing"))

    caught = []
    for _ in range(2):
        with pytest.raises(HandlerError) as each:
            await ref.ask(error)
        caught.append(each.value)

    assert caught[0] is not caught[1]
    assert caught[0].root is caught[1].root is error


# -- what passes through unwrapped -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AskTimeoutError("x", 1.0), DeadlockError(("a", "b")), MeshClosedError("market")])
@pytest.mark.parametrize("kind", [Relay, ThreadRelay])
async def test_what_is_about_the_mesh_passes_through_unwrapped(
    mesh: Mesh, error: CeylonError, kind: type[Relay] | type[ThreadRelay]
) -> None:
    mesh.add(Failing("failing"))
    mesh.add(kind("second"))

    with pytest.raises(type(error)) as caught:
        await mesh.add(kind("first")).ask(Ask(("second", "failing"), error))

    assert caught.value is error


async def test_the_mistake_of_an_agent_on_the_way_is_that_agents_failure(mesh: Mesh) -> None:
    mesh.add(Shop("shop"))

    with pytest.raises(HandlerError) as caught:
        await mesh.add(Relay("relay")).ask(Ask(("shop",), "what the shop does not take"))

    assert caught.value.path == ("relay",)
    assert isinstance(caught.value.root, UnhandledMessageError)


async def test_an_address_an_agent_on_the_way_does_not_find_is_that_agents_failure(mesh: Mesh) -> None:
    with pytest.raises(HandlerError) as caught:
        await mesh.add(Relay("relay")).ask(Ask(("nobody",), "tea"))

    assert caught.value.path == ("relay",)
    assert isinstance(caught.value.root, UnknownAgentError)


# -- nobody there ------------------------------------------------------------------------------------------------------


async def test_an_unknown_address_is_refused_with_close_matches(mesh: Mesh) -> None:
    mesh.add(Echo("pricer"))
    mesh.add(Echo("shop"))

    with pytest.raises(UnknownAgentError, match=r"no agent at 'pricr'; did you mean 'pricer'\?") as caught:
        await mesh.ask("pricr", "tea")

    assert isinstance(caught.value, DeliveryError)
    assert isinstance(caught.value, LookupError)
    assert (caught.value.address, caught.value.known) == ("pricr", ["pricer", "shop"])


async def test_without_a_close_match_what_there_is_is_named(mesh: Mesh) -> None:
    mesh.add(Echo("pricer"))

    with pytest.raises(UnknownAgentError, match="no agent at 'x'; the mesh has: pricer"):
        await mesh.tell("x", "tea")


async def test_in_an_empty_mesh_there_is_nothing_to_name(mesh: Mesh) -> None:
    with pytest.raises(UnknownAgentError, match="no agent at 'x'; the mesh has none"):
        mesh.tell_nowait("x", "tea")


@pytest.mark.parametrize("verb", ["tell", "ask", "stream", "call"])
async def test_every_verb_refuses_an_unknown_address_and_it_is_counted(mesh: Mesh, verb: str) -> None:
    ref = mesh.ref("nobody")

    with pytest.raises(UnknownAgentError):
        match verb:
            case "tell":
                await ref.tell("tea")
            case "ask":
                await ref.ask("tea")
            case "stream":
                await ref.stream("tea").result()
            case _:
                await ref.call("search")

    assert mesh.statistics().refused == 1
    assert mesh.statistics().dead_letters == {"unknown_agent": 1}


async def test_a_key_is_unknown_to_an_agent_that_takes_none(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))

    with pytest.raises(UnknownAgentError):
        await mesh.ask("echo/alice", "tea")


@pytest.mark.parametrize("address", ["", "no spaces", "/key", "echo/", 5, None])
async def test_an_address_that_could_never_be_shows_the_rule(mesh: Mesh, address: Any) -> None:
    for verb in (mesh.ask, mesh.tell):
        with pytest.raises((InvalidNameError, TypeError)) as caught:
            await verb(address, "tea")
        assert isinstance(caught.value, CeylonError)


# -- deadlocks ---------------------------------------------------------------------------------------------------------


class Asker(Agent):
    """Asks who it is told to ask, the asker included."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.errors: list[BaseException] = []

    async def on_message(self, way: tuple[str, ...], context: Context) -> Any:
        if not way:
            return "end"
        return await context.ask(way[0], way[1:])


class AskerInAThread(Agent):
    def on_message(self, way: tuple[str, ...], context: BlockingContext) -> Any:
        if not way:
            return "end"
        return context.ask(way[0], way[1:])


every_asker = pytest.mark.parametrize("kind", [Asker, AskerInAThread])


@every_asker
async def test_an_ask_of_oneself_is_refused_at_once(mesh: Mesh, kind: type[Asker]) -> None:
    ref = mesh.add(kind("a"))

    with anyio.fail_after(20), pytest.raises(DeadlockError, match="a → a") as caught:
        await ref.ask(("a",))

    assert caught.value.path == ("a", "a")


@every_asker
async def test_an_ask_that_closes_a_circle_names_the_whole_path(mesh: Mesh, kind: type[Asker]) -> None:
    for name in ("a", "b", "c", "d"):
        mesh.add(kind(name))

    with anyio.fail_after(20), pytest.raises(DeadlockError) as caught:
        await mesh.ask("d", ("a", "b", "c", "a"))

    assert caught.value.path == ("a", "b", "c", "a")


async def test_a_stream_and_a_call_close_circles_too(mesh: Mesh) -> None:
    class Circling(Agent):
        @ceylon.action
        async def call_myself(self, context: Context) -> Any:
            return await context.call("circling", "call_myself")

        @on
        async def stream_myself(self, message: str, context: Context) -> Any:
            return await context.stream("circling", message).result()

    ref = mesh.add(Circling("circling"))

    with anyio.fail_after(20):
        with pytest.raises(DeadlockError):
            await ref.call("call_myself")
        with pytest.raises(DeadlockError):
            await ref.ask("tea")


async def test_a_ref_closes_a_circle_as_a_context_does(mesh: Mesh) -> None:
    class Circling(Agent):
        async def on_message(self, message: Any) -> Any:
            return await self.ref.ask(message)

    with anyio.fail_after(20), pytest.raises(DeadlockError):
        await mesh.add(Circling("a")).ask("tea")


@every_asker
async def test_an_agent_refused_as_a_circle_works_on(mesh: Mesh, kind: type[Asker]) -> None:
    ref = mesh.add(kind("a"))

    with pytest.raises(DeadlockError):
        await ref.ask(("a",))

    assert await ref.ask(()) == "end"


async def test_a_free_slot_makes_it_no_circle(mesh: Mesh) -> None:
    class Wide(Asker):
        concurrency = 2

    mesh.add(Wide("a"))
    mesh.add(Asker("b"))

    assert await mesh.ask("a", ("a",), timeout=60) == "end"
    assert await mesh.ask("a", ("b", "a"), timeout=60) == "end"


async def test_a_tell_back_is_no_circle(mesh: Mesh) -> None:
    class Telling(Keeper):
        @on
        async def pass_on(self, ask: Ask, context: Context) -> Any:
            return await context.ask(ask.way[0], ask.message)

    class Back(Agent):
        async def on_message(self, message: Any, context: Context) -> str:
            await context.tell(context.sender, "back")
            return "told"

    telling = Telling("a")
    mesh.add(Back("b"))

    assert await mesh.add(telling).ask(Ask(("b",), "tea")) == "told"
    await mesh.drain()
    assert telling.kept == ["back"]


async def test_an_ask_back_of_one_who_only_told_is_no_circle(mesh: Mesh) -> None:
    class Telling(Keeper):
        @on
        async def pass_on(self, ask: Ask, context: Context) -> None:
            await context.tell(ask.way[0], ask.message)

    class Back(Keeper):
        async def on_message(self, message: Any, context: Context | None = None) -> int:
            assert context is not None
            self.kept.append(await context.ask(context.sender, message))
            return 0

    back = Back("b")
    mesh.add(back)

    await mesh.add(Telling("a")).ask(Ask(("b",), "tea"))
    await mesh.drain()

    assert back.kept == [1]


async def test_an_ask_back_of_one_who_has_given_up_is_no_circle(mesh: Mesh) -> None:
    class Impatient(Agent):
        @on
        async def go(self, message: str, context: Context) -> str:
            try:
                await context.ask("b", message, timeout=0.2)
            except AskTimeoutError:
                self.gave_up.set()
            return "gave up"

        @on
        async def answer(self, message: int) -> int:
            return message

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.gave_up = anyio.Event()

    class Slow(Agent):
        def __init__(self, name: str, other: Impatient) -> None:
            super().__init__(name)
            self.other = other
            self.answer: Any = None

        @on(shielded=True)
        async def go(self, message: str, context: Context) -> None:
            await self.other.gave_up.wait()
            with anyio.CancelScope(shield=True):
                self.answer = await context.ref("a").using(timeout=60).ask(5)

    impatient = Impatient("a")
    slow = Slow("b", impatient)
    ref = mesh.add(impatient)
    mesh.add(slow)

    assert await ref.ask("tea") == "gave up"
    await until(lambda: mesh.statistics().agents["b"].pending == 0)


async def test_an_ask_back_of_one_who_has_its_reply_is_no_circle(mesh: Mesh) -> None:
    class Early(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.answer: Any = None

        async def on_message(self, message: Any, context: Context) -> None:
            context.reply("early")
            self.answer = await context.ask("a", ())

    early = Early("b")
    mesh.add(early)

    assert await mesh.add(Asker("a")).ask(("b",)) == "early"
    await mesh.drain()

    assert early.answer == "end"


async def test_two_ways_to_one_agent_are_no_circle(mesh: Mesh) -> None:
    class Twice(Agent):
        async def on_message(self, message: Any, context: Context) -> list[Any]:
            answers: list[Any] = []

            async def ask(way: tuple[str, ...]) -> None:
                answers.append(await context.ask("b", way))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, ("c",))
                tasks.start_soon(ask, ("c",))
            return answers

    mesh.add(Asker("b"))
    mesh.add(Asker("c"))

    assert await mesh.add(Twice("a")).ask("tea", timeout=60) == ["end", "end"]


async def test_two_chains_that_cross_do_not_hang_beyond_their_deadline(mesh: Mesh) -> None:
    class Crossing(Agent):
        def __init__(self, name: str, other: str, gate: anyio.Event) -> None:
            super().__init__(name)
            self.other, self.gate = other, gate
            self.begun = False

        async def on_message(self, message: Any, context: Context) -> Any:
            self.begun = True
            await self.gate.wait()
            return await context.ask(self.other, message)

    gate = anyio.Event()
    a, b = Crossing("a", "b", gate), Crossing("b", "a", gate)
    refs = [mesh.add(a), mesh.add(b)]
    errors: list[BaseException] = []

    async def ask(index: int) -> None:
        with pytest.raises((DeadlockError, AskTimeoutError)) as caught:
            await refs[index].ask("tea", timeout=60.0)  # not what ends them: a slow start must not either
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, 0)
        tasks.start_soon(ask, 1)
        await until(lambda: a.begun and b.begun)
        gate.set()

    assert len(errors) == 2


# -- the tree ----------------------------------------------------------------------------------------------------------


def test_every_error_is_importable_from_the_top_and_derives_from_one_base() -> None:
    for name in errors.__all__:
        error = getattr(ceylon, name)
        assert issubclass(error, CeylonError)
        assert error is getattr(errors, name)


async def test_an_error_of_an_ask_says_where_it_was_awaited(mesh: Mesh) -> None:
    ref = mesh.add(Held("held"))

    try:
        await ref.ask("tea", timeout=0.01)
    except AskTimeoutError as error:
        frames = []
        traceback = error.__traceback__
        while traceback is not None:
            frames.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        assert frames[0] == "test_an_error_of_an_ask_says_where_it_was_awaited"


def test_a_handler_error_keeps_its_words() -> None:
    error = HandlerError(("a", "b"), "Wish", NoTeaError("assam"))

    assert str(error) == "agent a → b failed on Wish: NoTeaError: assam"
    assert error.through("z").path == ("z", "a", "b")
    assert error.through("z").root is error.root


@pytest.mark.parametrize(
    "error",
    [
        HandlerError(("a",), "Wish", ValueError("x")),
        AskTimeoutError("a", 1.0),
        DeadlockError(("a", "b", "a")),
        UnknownAgentError("a", ["b"]),
        MeshClosedError("m"),
        UnhandledMessageError("a", "int", ["str"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: CeylonError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 – our own bytes; process pools do the same

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {name: str(fact) for name, fact in vars(again).items()} == {
        name: str(fact) for name, fact in vars(error).items()
    }
