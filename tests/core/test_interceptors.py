"""Interceptors: what stands around delivery and around handling sees everything once, and breaks nothing."""

import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    BlockingMesh,
    Context,
    DeadlockError,
    DefinitionError,
    HandlerError,
    Interceptor,
    InterceptorError,
    LlmAgent,
    Mesh,
    NextDelivery,
    NextHandling,
    RejectedError,
    UnhandledMessageError,
    action,
    on,
)
from ceylon.core import delivering, handling
from ceylon.core.interceptors import sort_interceptors
from ceylon.messages import ActionCall, Envelope
from ceylon.settings import DEFAULTS
from ceylon.testing import ScriptedModel
from support.core_agents import Ask, Counter, Echo, Held, Keeper, Relay, ThreadRelay, until
from support.law import check_end, lawful_mesh

GIVEN: contextvars.ContextVar[str] = contextvars.ContextVar("given", default="nothing")


class Shop(Agent):
    """Has a handler of every kind; keeps what it handles."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.handled: list[Any] = []

    @on
    async def on_the_loop(self, message: str) -> str:
        self.handled.append(message)
        return f"{message} {GIVEN.get()}"

    @on
    def in_a_thread(self, message: int) -> str:
        assert threading.current_thread() is not threading.main_thread()
        self.handled.append(message)
        return f"{message} {GIVEN.get()}"

    @on(inline=True)
    def at_once(self, message: float) -> str:
        self.handled.append(message)
        return f"{message} {GIVEN.get()}"

    @on
    async def parts(self, message: list) -> AsyncIterator[str]:  # type: ignore[type-arg]
        for part in message:
            self.handled.append(part)
            yield f"{part} {GIVEN.get()}"

    @on
    def parts_in_a_thread(self, message: tuple) -> Iterator[str]:  # type: ignore[type-arg]
        for part in message:
            self.handled.append(part)
            yield f"{part} {GIVEN.get()}"

    @on
    def lazy_in_a_thread(self, message: frozenset) -> Iterator[str]:  # type: ignore[type-arg]
        return (f"{part} {GIVEN.get()}" for part in message)

    @on(topic="sales.*")
    async def sale(self, message: object) -> None:
        self.handled.append(message)

    @action
    def stock(self, sku: str) -> str:
        """How much there is."""
        return f"{sku} {GIVEN.get()}"


EVERY_KIND = ["tea", 1, 1.5, ["a", "b"], ("a", "b"), frozenset(["a"])]
"""A message for each kind of handler."""


def let_pass(envelope: Envelope, call_next: Any) -> Any:
    return call_next(envelope)


async def handle(envelope: Envelope, call_next: Any) -> Any:
    return await call_next(envelope)


# -- which one stands where --------------------------------------------------------------------------------------------


class ByCall:
    async def __call__(self, envelope: Envelope, call_next: Any) -> Any:
        return await call_next(envelope)

    async def method(self, envelope: Envelope, call_next: Any) -> Any:
        return await call_next(envelope)


@pytest.mark.parametrize(
    "interceptor", [handle, ByCall(), ByCall().method, functools.partial(handle)], ids=lambda it: type(it).__name__
)
def test_what_is_async_stands_around_handling_and_nowhere_else(interceptor: Any) -> None:
    found = sort_interceptors([let_pass, interceptor])

    assert found is not None
    assert (found.delivery, found.handling) == ((let_pass,), (interceptor,))


@pytest.mark.parametrize(
    "wrong", ["nothing", 5, lambda envelope: None, lambda a, b, c: None, (yield_ := lambda e, n: (yield))]
)
def test_what_is_no_interceptor_is_refused_when_the_mesh_is_made(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=r"interceptors=\[let_pass\]"):
        Mesh(interceptors=let_pass)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="is no interceptor"):
        Mesh(interceptors=[wrong])


async def test_a_mesh_without_interceptors_has_none_of_the_onion(mesh: Mesh) -> None:
    mesh.add(Shop("shop"))

    cell = mesh.interior.cells()["shop"]
    assert not isinstance(mesh.interior.router, delivering.InterceptedRouter)
    assert mesh.interior.interceptors is None
    assert cell.behaviour is Shop.__ceylon_behaviour__


async def test_an_onion_around_one_place_leaves_the_other_alone(anyio_backend: Any) -> None:
    async with lawful_mesh(interceptors=[handle]) as mesh:
        assert not isinstance(mesh.interior.router, delivering.InterceptedRouter)
    async with lawful_mesh(interceptors=[let_pass]) as mesh:
        mesh.add(Shop("shop"))
        assert isinstance(mesh.interior.router, delivering.InterceptedRouter)
        assert mesh.interior.cells()["shop"].behaviour is Shop.__ceylon_behaviour__


def test_the_onion_of_agents_with_a_behaviour_of_their_own_is_kept_within_bounds() -> None:
    found = sort_interceptors([handle])
    assert found is not None
    own = [Shop.__ceylon_behaviour__.mapped(lambda handler: handler) for _ in range(5)]

    assert found.around(own[0]) is found.around(own[0])
    for each in own * (DEFAULTS.handler_types // 4):
        found.around(each.mapped(lambda handler: handler))

    assert len(found._behaviours) <= DEFAULTS.handler_types  # noqa: SLF001 – what must not grow


# -- around delivery ---------------------------------------------------------------------------------------------------


async def test_everything_that_is_sent_passes_once_outermost_first(anyio_backend: Any) -> None:
    seen: list[tuple[str, str, str, Any]] = []

    def note(name: str) -> Any:
        def interceptor(envelope: Envelope, call_next: Any) -> None:
            seen.append((name, envelope.kind, envelope.sender, envelope.message))
            call_next(envelope)

        return interceptor

    async with lawful_mesh(interceptors=[note("outer"), note("inner")]) as mesh:
        shop = mesh.add(Shop("shop"))
        await shop.tell("a")
        shop.tell_nowait("b")
        await shop.ask("c")
        assert [part async for part in shop.stream(["d"])] == ["d nothing"]
        await shop.call("stock", sku="e")
        await mesh.publish("sales.tea", "f")
        await mesh.broadcast("g")
        assert await (await shop.submit("h")) == "h nothing"
        await mesh.drain()

    kinds = [(name, kind, message) for name, kind, _, message in seen]
    sent = [("tell", "a"), ("tell", "b"), ("ask", "c"), ("stream", ["d"]), ("ask", ActionCall("stock", {"sku": "e"}))]
    sent += [("tell", "f"), ("tell", "g"), ("ask", "h")]
    assert kinds == [(name, *each) for each in sent for name in ("outer", "inner")]


async def test_what_agents_send_each_other_passes_with_its_sender(anyio_backend: Any) -> None:
    seen: list[tuple[str, str]] = []

    def note(envelope: Envelope, call_next: Any) -> None:
        seen.append((envelope.sender, envelope.recipient))
        call_next(envelope)

    class Asker(Agent):
        async def on_message(self, message: str, context: Context) -> Any:
            context.after(0.001, 5)
            return await context.ask("shop", message)

        @on
        async def later(self, message: int) -> None: ...

    async with lawful_mesh(interceptors=[note]) as mesh:
        asker = mesh.add(Asker("asker"))
        mesh.add(Shop("shop"))
        await asker.ask("tea")
        await until(lambda: len(seen) == 3)

    assert seen == [("", "asker"), ("asker", "shop"), ("", "asker")]


async def test_what_does_not_pass_is_an_error_for_its_sender_a_dead_letter_and_counted(anyio_backend: Any) -> None:
    def only_tea(envelope: Envelope, call_next: Any) -> None:
        if envelope.message != "tea":
            raise PermissionError(envelope.message)
        call_next(envelope)

    async with lawful_mesh(interceptors=[only_tea]) as mesh:
        shop = mesh.add(Shop("shop"))
        await shop.tell("tea")
        for send in (shop.tell, shop.ask, functools.partial(mesh.tell, "nobody")):
            with pytest.raises(RejectedError, match=r"str to '.*' was rejected by an interceptor") as caught:
                await send("rum")
            assert isinstance(caught.value.__cause__, PermissionError)
            assert caught.value.reason == "PermissionError: rum"
        with pytest.raises(RejectedError):
            shop.tell_nowait("rum")
        with pytest.raises(RejectedError):
            await shop.stream("rum").__anext__()
        assert await mesh.publish("sales.tea", "rum") == 0
        await mesh.drain()

        assert mesh.statistics().dead_letters == {"rejected": 6}
        assert mesh.statistics().refused == 6
        assert mesh.statistics().unheard == 0
        assert {letter.detail for letter in mesh.dead_letters()} == {"PermissionError: rum"}
        assert mesh.agent("shop").handled == ["tea"]  # type: ignore[attr-defined]


async def test_one_subscriber_that_a_publication_may_not_reach_is_left_out(anyio_backend: Any) -> None:
    def not_to_b(envelope: Envelope, call_next: Any) -> None:
        if envelope.recipient == "b":
            raise PermissionError
        call_next(envelope)

    async with lawful_mesh(interceptors=[not_to_b]) as mesh:
        for name in ("a", "b", "c"):
            mesh.add(Shop(name))

        assert await mesh.publish("sales.tea", "x") == 2


async def test_one_of_a_group_that_a_publication_may_not_reach_is_passed_over(anyio_backend: Any) -> None:
    def not_to_b(envelope: Envelope, call_next: Any) -> None:
        if envelope.recipient == "b":
            raise PermissionError
        call_next(envelope)

    async with lawful_mesh(interceptors=[not_to_b]) as mesh:
        keepers = [Keeper(name) for name in ("a", "b")]
        for keeper in keepers:
            mesh.add(keeper)
            mesh.subscribe("sales", keeper.name, group="billing")

        assert [await mesh.publish("sales", number) for number in range(4)] == [1] * 4
        await mesh.drain()

    assert [keeper.kept for keeper in keepers] == [[0, 1, 2, 3], []]


async def test_a_request_that_does_not_pass_is_refused_to_whoever_submits_it(anyio_backend: Any) -> None:
    def refuse(envelope: Envelope, call_next: Any) -> None:
        raise PermissionError(envelope.message)

    async with lawful_mesh(interceptors=[refuse]) as mesh:
        shop = mesh.add(Shop("shop"))

        with pytest.raises(RejectedError, match="PermissionError: rum"):
            await (await shop.submit("rum"))

        assert (mesh.pending(), mesh.results()) == ([], [])
        assert mesh.statistics().dead_letters == {"rejected": 1}


async def test_a_publication_passes_before_it_waits_for_a_full_group(anyio_backend: Any) -> None:
    def no_secrets(envelope: Envelope, call_next: Any) -> None:
        if envelope.message == "secret":
            raise PermissionError
        call_next(envelope)

    async with lawful_mesh(interceptors=[no_secrets]) as mesh:
        held = Held("held")
        held.mailbox_capacity = 1
        mesh.add(held)
        mesh.subscribe("sales", "held", group="billing")
        await mesh.tell("held", "first")
        await until(lambda: held.begun)
        await mesh.tell("held", "second")

        assert await mesh.publish("sales", "secret") == 0
        assert mesh.statistics().dead_letters == {"rejected": 1}
        held.gate.set()


async def test_a_publication_reaches_the_others_if_one_is_sent_to_an_agent_that_cannot_be_made(
    anyio_backend: Any,
) -> None:
    def to_nobody(envelope: Envelope, call_next: Any) -> None:
        call_next(msgspec.structs.replace(envelope, recipient="family/x") if envelope.recipient == "a" else envelope)

    def fail(key: str) -> Shop:
        raise OSError(key)

    async with lawful_mesh(interceptors=[to_nobody]) as mesh:
        mesh.register(fail, "family")
        for name in ("a", "b"):
            mesh.add(Shop(name))

        assert await mesh.publish("sales.tea", "x") == 1


async def test_an_envelope_may_pass_with_another_message_and_to_somebody_else(anyio_backend: Any) -> None:
    def redirect(envelope: Envelope, call_next: Any) -> None:
        call_next(msgspec.structs.replace(envelope, message=envelope.message.upper(), recipient="b", trace="t"))

    async with lawful_mesh(interceptors=[redirect]) as mesh:
        a, b = mesh.add(Shop("a")), mesh.add(Shop("b"))

        assert await a.ask("tea") == "TEA nothing"
        await a.tell("rum")
        await mesh.drain()

        assert mesh.agent("b").handled == ["TEA", "RUM"]  # type: ignore[attr-defined]
        assert (await mesh.ask(b, "x")) == "X nothing"
        assert mesh.statistics().agents["a"].accepted == 0


async def test_an_ask_whose_answer_is_late_can_be_withdrawn_though_it_was_changed(anyio_backend: Any) -> None:
    def change(envelope: Envelope, call_next: Any) -> None:
        call_next(msgspec.structs.replace(envelope, message=("changed", envelope.message)))

    async with lawful_mesh(interceptors=[change]) as mesh:
        held = Held("held")
        ref = mesh.add(held)
        await ref.tell(1)
        await until(lambda: held.begun)
        with pytest.raises(TimeoutError):
            await ref.ask(2, timeout=0.01)
        held.gate.set()
        await mesh.drain()

        assert mesh.statistics().agents["held"].expired == 1
        assert held.ended == [("changed", 1)]


async def test_what_the_mesh_keeps_account_by_cannot_be_changed(anyio_backend: Any) -> None:
    def forge(envelope: Envelope, call_next: Any) -> None:
        call_next(msgspec.structs.replace(envelope, id=999, sender="admin"))

    async with lawful_mesh(interceptors=[forge]) as mesh:
        shop = mesh.add(Shop("shop"))
        with pytest.raises(RejectedError, match="changed id, sender of an envelope") as caught:
            await shop.tell("tea")

        assert isinstance(caught.value.__cause__, InterceptorError)


async def test_nor_can_it_be_changed_in_place_at_either_side(anyio_backend: Any) -> None:
    def forge(envelope: Envelope, call_next: Any) -> None:
        if envelope.message == "delivery":
            envelope.id += 1_000_000
        call_next(envelope)

    def forge_late(envelope: Envelope, call_next: Any) -> None:
        call_next(envelope)
        if envelope.message == "late":
            envelope.sender = "admin"

    async def forge_handling(envelope: Envelope, call_next: Any) -> Any:
        if envelope.message == "handling":
            envelope.id += 1_000_000
        reply = await call_next(envelope)
        if envelope.message == "late handling":
            envelope.id += 1_000_000
        return reply

    async with lawful_mesh(interceptors=[forge, forge_late, forge_handling]) as mesh:
        shop = mesh.add(Shop("shop"))
        for message in ("delivery", "late", "handling", "late handling"):
            with pytest.raises(RejectedError, match="the mesh keeps account by that"):
                await shop.ask(message)
        assert await shop.ask("tea") == "tea nothing"

        counted = mesh.statistics()
        assert (counted.refused, counted.agents["shop"].failed, counted.late_replies) == (2, 2, 0)


async def test_a_message_may_be_changed_in_place_and_goes_to_the_handler_for_its_type(anyio_backend: Any) -> None:
    async def as_number(envelope: Envelope, call_next: Any) -> Any:
        envelope.message = int(envelope.message)
        return await call_next(envelope)

    async with lawful_mesh(interceptors=[as_number]) as mesh:
        assert await mesh.add(Shop("shop")).ask("5") == "5 nothing"


def twice(envelope: Envelope, call_next: Any) -> None:
    call_next(envelope)
    call_next(envelope)


def twice_and_silent(envelope: Envelope, call_next: Any) -> None:
    call_next(envelope)
    with contextlib.suppress(InterceptorError):
        call_next(envelope)


def never(envelope: Envelope, call_next: Any) -> None:
    del envelope, call_next


def raises_afterwards(envelope: Envelope, call_next: Any) -> None:
    call_next(envelope)
    raise ValueError("too late?")


def swallows(envelope: Envelope, call_next: Any) -> None:
    with contextlib.suppress(BaseException):
        call_next(envelope)


def something_else(envelope: Envelope, call_next: Any) -> None:
    call_next(envelope.message)


def exits(envelope: Envelope, call_next: Any) -> None:
    raise SystemExit(3)


def returns_a_coroutine(envelope: Envelope, call_next: Any) -> Any:
    return handle(envelope, call_next)


@pytest.mark.parametrize(
    ("interceptors", "passes", "reason"),
    [
        ([twice], False, "called `call_next` twice"),
        ([twice_and_silent], True, ""),
        ([never], False, "it was not passed on"),
        ([raises_afterwards], False, "ValueError: too late"),
        ([swallows, raises_afterwards], False, "it was not passed on"),
        ([swallows, never], False, "it was not passed on"),
        ([swallows, let_pass], True, ""),
        ([something_else], False, "takes the envelope, not str"),
        ([exits], False, "SystemExit"),
        ([returns_a_coroutine], False, "returned a coroutine"),
    ],
)
async def test_a_hostile_interceptor_around_delivery_rejects_or_passes_and_nothing_between(
    anyio_backend: Any, interceptors: list[Any], reason: str, *, passes: bool
) -> None:
    async with lawful_mesh(interceptors=interceptors) as mesh:
        shop = mesh.add(Shop("shop"))
        if passes:
            await shop.tell("tea")
            assert await shop.ask("tea") == "tea nothing"
        else:
            with pytest.raises(RejectedError, match=reason):
                await shop.tell("tea")
            with pytest.raises(RejectedError, match=reason):
                await shop.ask("tea")
        await mesh.drain()

        counted = mesh.statistics()
        assert counted.agents["shop"].completed == (2 if passes else 0)
        assert counted.refused == (0 if passes else 2)
        assert mesh.agent("shop").handled == (["tea", "tea"] if passes else [])  # type: ignore[attr-defined]


async def test_what_was_kept_of_an_onion_lets_nothing_pass_any_more(anyio_backend: Any) -> None:
    kept: list[tuple[Envelope, Any]] = []

    def keep(envelope: Envelope, call_next: Any) -> None:
        kept.append((envelope, call_next))

    async with lawful_mesh(interceptors=[keep]) as mesh:
        shop = mesh.add(Shop("shop"))
        with pytest.raises(RejectedError):
            await shop.tell("tea")
        [(envelope, call_next)] = kept
        with pytest.raises(InterceptorError, match="after it was over"):
            call_next(envelope)

        assert mesh.statistics().agents["shop"].accepted == 0


async def test_ctrl_c_in_an_interceptor_stops_the_mesh_in_order(anyio_backend: Any) -> None:
    def interrupt(envelope: Envelope, call_next: Any) -> None:
        raise KeyboardInterrupt

    mesh = Mesh("test", interceptors=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        async with mesh:
            shop = mesh.add(Shop("shop"))
            with pytest.raises(RejectedError, match="KeyboardInterrupt"):
                await shop.tell("tea")
            await mesh.wait()

    assert not mesh.is_open
    check_end(mesh.statistics())


async def test_the_mesh_s_own_messages_pass_no_interceptor(anyio_backend: Any) -> None:
    class Watcher(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.told: list[Any] = []

        async def on_start(self, context: Context) -> None:
            context.watch("nobody")
            context.subscribe("$dead_letters")

        async def on_message(self, message: Any) -> None:
            self.told.append(type(message).__name__)

    async with lawful_mesh(interceptors=[never]) as mesh:
        watcher = Watcher("watcher")
        mesh.add(watcher)
        await until(lambda: watcher.told == ["Terminated"])
        with pytest.raises(RejectedError):
            await mesh.tell("watcher", "tea")
        await mesh.drain()

        assert watcher.told == ["Terminated", "DeadLetter"]


def test_interceptors_stand_in_a_blocking_mesh_and_on_its_loop() -> None:
    threads: set[str] = set()

    def note(envelope: Envelope, call_next: Any) -> None:
        threads.add(threading.current_thread().name)
        if envelope.message == "rum":
            raise PermissionError
        call_next(envelope)

    async def louder(envelope: Envelope, call_next: Any) -> Any:
        threads.add(threading.current_thread().name)
        return f"{await call_next(envelope)}!"

    with BlockingMesh("test", interceptors=[note, louder]) as mesh:
        shop = mesh.add(Shop("shop"))
        assert shop.ask("tea") == "tea nothing!"
        assert shop.ask(5) == "5 nothing!"
        for send in (shop.tell, shop.ask, shop.tell_nowait):
            with pytest.raises(RejectedError):
                send("rum")

    assert threads == {"ceylon test loop"}


# -- around handling ---------------------------------------------------------------------------------------------------


async def test_every_kind_of_handler_is_run_once_in_the_variables_that_are_set_around_it(anyio_backend: Any) -> None:
    seen: list[Any] = []

    async def give(envelope: Envelope, call_next: Any) -> Any:
        seen.append(("before", envelope.message))
        token = GIVEN.set("something")
        try:
            return await call_next(envelope)
        finally:
            GIVEN.reset(token)
            seen.append(("after", envelope.message))

    async with lawful_mesh(interceptors=[give]) as mesh:
        shop = mesh.add(Shop("shop"))
        replies = [await shop.ask(message) for message in EVERY_KIND]
        streamed = [[part async for part in shop.stream(message)] for message in EVERY_KIND]
        assert await shop.call("stock", sku="tea") == "tea something"
        await mesh.publish("sales.tea", "published")
        await mesh.drain()
        workers = mesh.statistics().workers

    parts = ["a something", "b something"]
    assert replies == ["tea something", "1 something", "1.5 something", parts, parts, ["a something"]]
    assert streamed == [["tea something"], ["1 something"], ["1.5 something"], parts, parts, ["a something"]]
    assert len(seen) == 2 * (2 * len(EVERY_KIND) + 2)
    assert seen[::2] == [("before", message) for _, message in seen[1::2]]
    assert workers <= 3


async def test_the_onion_is_entered_outermost_first_and_left_in_reverse(anyio_backend: Any) -> None:
    seen: list[str] = []

    def named(name: str) -> Any:
        async def interceptor(envelope: Envelope, call_next: Any) -> Any:
            seen.append(f"{name} in")
            reply = await call_next(envelope)
            seen.append(f"{name} out")
            return f"{name}({reply})"

        return interceptor

    async with lawful_mesh(interceptors=[named("a"), named("b")]) as mesh:
        assert await mesh.add(Echo("echo")).ask("x") == "a(b(x))"

    assert seen == ["a in", "b in", "b out", "a out"]


async def test_the_context_of_the_handler_and_the_mesh_s_time_are_at_hand(anyio_backend: Any) -> None:
    seen: list[Any] = []

    async def look(envelope: Envelope, call_next: Any) -> Any:
        context = call_next.context
        seen.append((context.address, context.sender, context.message_id, call_next.now <= context.deadline))
        allowed = await context.ask("guard", envelope.message) if envelope.recipient != "guard" else True
        return await call_next(envelope) if allowed else "not allowed"

    class Guard(Agent):
        async def on_message(self, message: Any) -> bool:
            return bool(message == "tea")

    async with lawful_mesh(interceptors=[look]) as mesh:
        mesh.add(Guard("guard"))
        echo = mesh.add(Echo("echo"))

        assert await echo.ask("tea") == "tea"
        assert await echo.ask("rum") == "not allowed"

    assert [each[:2] for each in seen] == [("echo", ""), ("guard", "echo")] * 2
    assert all(each[3] for each in seen)
    assert len({each[2] for each in seen}) == 4


async def test_a_failure_in_the_handler_passes_through_the_onion_and_may_be_replaced(anyio_backend: Any) -> None:
    async def soften(envelope: Envelope, call_next: Any) -> Any:
        try:
            return await call_next(envelope)
        except ValueError as error:
            return f"sorry: {error}"

    class Failing(Agent):
        async def on_message(self, message: Any) -> None:
            raise ValueError(message) if message == "tea" else KeyError(message)

    async with lawful_mesh(interceptors=[soften]) as mesh:
        failing = mesh.add(Failing("failing"))

        assert await failing.ask("tea") == "sorry: tea"
        with pytest.raises(HandlerError) as caught:
            await failing.ask("rum")

        assert isinstance(caught.value.root, KeyError)
        counted = mesh.statistics().agents["failing"]
        assert (counted.completed, counted.failed) == (1, 1)


async def test_who_is_denied_around_handling_is_told_so_and_the_agent_is_not_to_blame(anyio_backend: Any) -> None:
    async def deny(envelope: Envelope, call_next: Any) -> Any:
        if envelope.message == "rum":
            raise PermissionError("no rum")
        return await call_next(envelope)

    class Proud(Shop):
        on_failure = "stop"

    async with lawful_mesh(interceptors=[deny]) as mesh:
        proud = mesh.add(Proud("proud"))

        with pytest.raises(RejectedError, match="PermissionError: no rum") as caught:
            await proud.ask("rum")
        await proud.tell("rum")
        assert await proud.ask("tea") == "tea nothing"

        assert isinstance(caught.value.__cause__, PermissionError)
        [letter] = mesh.dead_letters()
        assert (letter.reason, letter.detail.partition(":")[0]) == ("handler_failed", "RejectedError")
        counted = mesh.statistics()
        assert (counted.agents["proud"].failed, counted.refused) == (2, 0)


async def test_a_failure_that_an_interceptor_gives_another_name_is_still_the_agent_s(anyio_backend: Any) -> None:
    async def rename(envelope: Envelope, call_next: Any) -> Any:
        try:
            return await call_next(envelope)
        except ValueError as error:
            raise KeyError("renamed") from error

    class Failing(Agent):
        on_failure = "stop"

        async def on_message(self, message: Any) -> None:
            raise ValueError(message)

    async with lawful_mesh(interceptors=[rename]) as mesh:
        with pytest.raises(HandlerError) as caught:
            await mesh.add(Failing("failing")).ask("x")
        assert isinstance(caught.value.root, KeyError)
        await until(lambda: "failing" not in mesh.agents)


async def test_an_onion_that_answers_itself_leaves_the_handler_out(anyio_backend: Any) -> None:
    async def answer(envelope: Envelope, call_next: Any) -> Any:
        del call_next
        return ("no", envelope.message)

    async with lawful_mesh(interceptors=[answer]) as mesh:
        shop = mesh.add(Shop("shop"))

        assert await shop.ask("tea") == ("no", "tea")
        assert [part async for part in shop.stream(["tea"])] == [("no", ["tea"])]
        assert mesh.agent("shop").handled == []  # type: ignore[attr-defined]
        assert mesh.statistics().agents["shop"].completed == 2


async def test_another_message_is_handled_by_the_handler_for_its_type(anyio_backend: Any) -> None:
    async def as_number(envelope: Envelope, call_next: Any) -> Any:
        changed = {"one": 1, "none": b"x"}.get(envelope.message, f"{envelope.message}s")
        return await call_next(msgspec.structs.replace(envelope, message=changed))

    async with lawful_mesh(interceptors=[as_number]) as mesh:
        shop = mesh.add(Shop("shop"))

        assert await shop.ask("one") == "1 nothing"
        assert await shop.ask("tea") == "teas nothing"
        with pytest.raises(UnhandledMessageError, match="bytes"):
            await shop.ask("none")


async def handles_twice(envelope: Envelope, call_next: Any) -> Any:
    await call_next(envelope)
    return await call_next(envelope)


async def handles_twice_and_silent(envelope: Envelope, call_next: Any) -> Any:
    reply = await call_next(envelope)
    with contextlib.suppress(InterceptorError):
        await call_next(envelope)
    return reply


async def handles_something_else(envelope: Envelope, call_next: Any) -> Any:
    return await call_next(msgspec.structs.replace(envelope, recipient="b"))


async def fails_afterwards(envelope: Envelope, call_next: Any) -> Any:
    await call_next(envelope)
    raise ValueError("after")


async def exits_around(envelope: Envelope, call_next: Any) -> Any:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("interceptor", "handled", "failure"),
    [
        (handles_twice, 1, InterceptorError),
        (handles_twice_and_silent, 1, None),
        (handles_something_else, 0, InterceptorError),
        (fails_afterwards, 1, ValueError),
        (exits_around, 0, SystemExit),
    ],
)
async def test_a_hostile_interceptor_around_handling_spoils_its_own_message_only(
    anyio_backend: Any, interceptor: Any, handled: int, failure: Any
) -> None:
    async def sometimes(envelope: Envelope, call_next: Any) -> Any:
        if envelope.message in {"tea", 1}:
            return await interceptor(envelope, call_next)
        return await call_next(envelope)

    async with lawful_mesh(interceptors=[sometimes]) as mesh:
        shop = mesh.add(Shop("shop"))
        for message in ("tea", 1):
            if failure is None:
                await shop.ask(message)
            else:
                with pytest.raises(RejectedError) as caught:
                    await shop.ask(message)
                assert isinstance(caught.value.__cause__, failure)
        assert await shop.ask("rum") == "rum nothing"

        assert mesh.agent("shop").handled == [*["tea", 1][: 2 * handled], "rum"]  # type: ignore[attr-defined]
        counted = mesh.statistics().agents["shop"]
        assert counted.completed + counted.failed == 3


async def test_a_handler_let_go_in_the_background_is_waited_for_before_the_next_message(anyio_backend: Any) -> None:
    held = Held("held")
    async with anyio.create_task_group() as tasks:

        async def hurry(envelope: Envelope, call_next: Any) -> Any:
            begun = anyio.Event()

            async def run() -> None:
                begun.set()
                await call_next(envelope)

            tasks.start_soon(run)
            await begun.wait()
            await anyio.lowlevel.checkpoint()
            return "early"

        async with lawful_mesh(interceptors=[hurry]) as mesh:
            ref = mesh.add(held)
            await ref.tell(1)
            await ref.tell(2)
            await until(lambda: held.begun)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert held.begun == [1]
            held.gate.set()
            await mesh.drain()

    assert held.at_most == 1
    assert held.ended == [1, 2]


async def test_a_time_limit_around_a_handler_cancels_it_on_the_loop_and_waits_for_its_thread(
    anyio_backend: Any,
) -> None:
    gate = threading.Event()

    class Slow(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.seen: list[str] = []
            self.under_way = 0

        @on
        async def on_the_loop(self, message: str) -> None:
            await anyio.sleep(60)

        @on
        def in_a_thread(self, message: int) -> None:
            self.under_way += 1
            assert self.under_way == 1
            gate.wait(5)
            self.seen.append(f"end {message}")
            self.under_way -= 1

    async def limit(envelope: Envelope, call_next: Any) -> Any:
        with anyio.move_on_after(0.01):
            return await call_next(envelope)
        return "too slow"

    async with lawful_mesh(interceptors=[limit]) as mesh:
        slow = Slow("slow")
        ref = mesh.add(slow)

        assert await ref.ask("x") == "too slow"
        async with anyio.create_task_group() as tasks:
            for number in (1, 2):
                tasks.start_soon(ref.ask, number)
            await until(lambda: slow.under_way)
            await anyio.sleep(0.03)
            gate.set()

        assert sorted(slow.seen) == ["end 1", "end 2"]
        assert mesh.statistics().agents["slow"].completed == 3


async def test_a_handler_whose_asker_leaves_is_cancelled_through_the_onion(anyio_backend: Any) -> None:
    seen: list[str] = []

    async def note(envelope: Envelope, call_next: Any) -> Any:
        try:
            return await call_next(envelope)
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    async with lawful_mesh(interceptors=[note]) as mesh:
        held = Held("held")
        ref = mesh.add(held)
        with anyio.move_on_after(60) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ref.ask, "x")
                await until(lambda: held.begun)
                scope.cancel()
        await mesh.drain()

        assert held.cancelled == ["x"]
        assert [name for name in seen if "Cancel" in name] == seen != []
        assert mesh.statistics().agents["held"].cancelled == 1


async def test_an_agent_s_time_limit_counts_the_onion_too(anyio_backend: Any) -> None:
    async def dawdle(envelope: Envelope, call_next: Any) -> Any:
        await anyio.sleep(60)
        return await call_next(envelope)

    class Quick(Agent):
        handler_timeout = 0.02

        async def on_message(self, message: Any) -> None: ...

    async with lawful_mesh(interceptors=[dawdle]) as mesh:
        with pytest.raises(HandlerError, match="took longer than"):
            await mesh.add(Quick("quick")).ask("x")


async def test_a_stream_that_is_left_ends_its_handler_through_the_onion(anyio_backend: Any) -> None:
    async with lawful_mesh(interceptors=[handle]) as mesh:
        counter = Counter("counter")
        ref = mesh.add(counter)
        for message in (1_000_000, "1000000"):
            async with ref.stream(message) as parts:
                assert [await parts.__anext__() for _ in range(3)] == [0, 1, 2]
        await mesh.drain()
        await until(lambda: counter.closed == 2)

        assert counter.made < 1_000


async def test_asks_over_several_agents_and_loops_of_them_are_as_without(anyio_backend: Any) -> None:
    async with lawful_mesh(interceptors=[let_pass, handle]) as mesh:
        for name in ("a", "b", "c"):
            mesh.add(Relay(name))

        assert await mesh.ask("a", Ask(("b", "c"), "x")) == "x"
        with pytest.raises(DeadlockError, match="a → b → a"):
            await mesh.ask("a", Ask(("b", "a"), "x"))


async def test_handlers_in_threads_that_ask_go_through_the_onion_too(anyio_backend: Any) -> None:
    async with lawful_mesh(interceptors=[let_pass, handle]) as mesh:
        for name in ("a", "b", "c"):
            mesh.add(ThreadRelay(name))
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(mesh.ask, "a", Ask(("b", "c"), "x"))
        with pytest.raises(DeadlockError):
            await mesh.ask("a", Ask(("b", "a"), "x"))


async def test_an_agent_handles_as_many_at_a_time_as_it_says_with_an_onion_too(anyio_backend: Any) -> None:
    class Wide(Held):
        concurrency = 3

    async with lawful_mesh(interceptors=[handle]) as mesh:
        wide = Wide("wide")
        ref = mesh.add(wide)
        for number in range(6):
            await ref.tell(number)
        await until(lambda: len(wide.begun) == 3)
        wide.gate.set()
        await mesh.drain()

    assert (wide.at_most, len(wide.ended)) == (3, 6)


async def test_an_agent_with_a_model_answers_and_streams_through_the_onion(anyio_backend: Any) -> None:
    seen: list[str] = []

    async def note(envelope: Envelope, call_next: Any) -> Any:
        seen.append(envelope.recipient)
        return await call_next(envelope)

    async with lawful_mesh(interceptors=[let_pass, note]) as mesh:
        agent = LlmAgent("tutor", ScriptedModel(["one", "two", "three"]))
        mesh.add(agent)

        assert str(await mesh.ask("tutor", "hi")) == "one"
        assert "".join([str(part) async for part in agent.stream("hi")]) == "two"
        assert str(await agent.conversation("ann").send("hi")) == "three"

    assert seen[0] == "tutor"
    assert seen[-1] == "tutor/ann"


def test_the_onion_can_be_looked_up_and_is_documented() -> None:
    assert Interceptor is not None
    for each in (NextDelivery, NextHandling):
        assert inspect.getdoc(each.__call__)


# -- sabotage ----------------------------------------------------------------------------------------------------------


def let_pass_although_it_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, envelope: Envelope) -> None:
        with contextlib.suppress(Exception):
            delivering.NextDelivery(delivering.Passage(self, envelope), 0)(envelope)

    monkeypatch.setattr(delivering.InterceptedRouter, "let_pass", broken)


def run_the_handler_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any, envelope: Envelope) -> Any:
        return await self._handling.run_handler(envelope)

    monkeypatch.setattr(handling.NextHandling, "__call__", broken)


def leave_before_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any) -> Any:
        return await handling.NextHandling(self, 0)(self.context.envelope)

    monkeypatch.setattr(handling.Handling, "run", broken)


Broken = Callable[[pytest.MonkeyPatch], None]
Test = Callable[[Any], Awaitable[None]]


@pytest.mark.parametrize(
    ("break_it", "test"),
    [
        (
            let_pass_although_it_raised,
            test_what_does_not_pass_is_an_error_for_its_sender_a_dead_letter_and_counted,
        ),
        (run_the_handler_each_time, test_the_onion_is_entered_outermost_first_and_left_in_reverse),
        (
            leave_before_the_handler,
            test_a_handler_let_go_in_the_background_is_waited_for_before_the_next_message,
        ),
    ],
)
@pytest.mark.breaks_the_law
async def test_breaking_the_onion_turns_its_tests_red(
    anyio_backend: Any, monkeypatch: pytest.MonkeyPatch, break_it: Broken, test: Test
) -> None:
    break_it(monkeypatch)

    with pytest.raises((AssertionError, pytest.fail.Exception, BaseExceptionGroup)):
        await test(anyio_backend)
