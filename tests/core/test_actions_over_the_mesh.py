"""Actions called through the mesh: arguments, errors, deadlines, and where they run."""

import threading
from typing import Any

import anyio
import pytest

from ceylon import (
    ActionArgumentsError,
    Agent,
    AskTimeoutError,
    BlockingContext,
    Context,
    HandlerError,
    Mesh,
    Message,
    UnknownActionError,
    action,
    on,
)
from ceylon.core.ports import OnFailure
from ceylon.messages import ActionCall
from support.core_agents import Echo, until


class Paid(Message):
    total: float


class Shop(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ran: list[str] = []
        self.gate = anyio.Event()

    @action
    async def stock(self, sku: str, most: int = 100) -> int:
        self.ran.append("stock")
        return most

    @action
    def order(self, sku: str, quantity: int) -> Paid:
        self.ran.append("order")
        return Paid(2.5 * quantity)

    @action
    async def pass_on(self, message: str, context: Context) -> tuple[str, Any]:
        self.ran.append("pass_on")
        return context.sender, await context.ask("echo", message)

    @action
    def pass_on_in_a_thread(self, message: str, context: BlockingContext) -> tuple[str, Any]:
        self.ran.append("pass_on_in_a_thread")
        return context.sender, context.ask("echo", message)

    @action
    async def fail(self, why: str) -> None:
        raise ValueError(why)

    @action
    def fail_in_a_thread(self, why: str) -> None:
        raise ValueError(why)

    @action
    async def wait(self) -> None:
        self.ran.append("wait")
        await self.gate.wait()

    @action
    def where(self) -> int:
        return threading.get_ident()

    @action(name="another_name")
    async def renamed(self) -> str:
        return "renamed"

    @on
    async def text(self, message: str) -> str:
        return message


@pytest.fixture
async def shop(mesh: Mesh) -> Shop:
    shop = Shop("shop")
    mesh.add(shop)
    mesh.add(Echo("echo"))
    return shop


async def test_an_action_returns_what_it_returns(mesh: Mesh, shop: Shop) -> None:
    assert await shop.ref.call("stock", sku="assam") == 100
    assert await shop.ref.call("stock", sku="assam", most=5) == 5
    assert await shop.ref.call("order", sku="assam", quantity=2) == Paid(5.0)


async def test_an_action_has_the_name_it_was_given(mesh: Mesh, shop: Shop) -> None:
    assert await shop.ref.call("another_name") == "renamed"
    with pytest.raises(UnknownActionError):
        await shop.ref.call("renamed")


@pytest.mark.parametrize("name", ["pass_on", "pass_on_in_a_thread"])
async def test_an_action_may_take_its_context(mesh: Mesh, shop: Shop, name: str) -> None:
    assert await shop.ref.call(name, message="tea") == ("", "tea")


async def test_a_plain_action_runs_in_a_thread(mesh: Mesh, shop: Shop) -> None:
    assert await shop.ref.call("where") != threading.get_ident()


async def test_a_plain_action_of_an_inline_agent_runs_on_the_loop(mesh: Mesh) -> None:
    class Inline(Agent):
        inline = True

        @action
        def where(self) -> int:
            return threading.get_ident()

    assert await mesh.add(Inline("inline")).call("where") == threading.get_ident()


async def test_an_action_is_a_message_among_others(mesh: Mesh, shop: Shop) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.ref.call, "wait")
        await until(lambda: shop.ran == ["wait"])
        tasks.start_soon(lambda: shop.ref.call("stock", sku="assam"))
        await anyio.wait_all_tasks_blocked()
        assert shop.ran == ["wait"]
        shop.gate.set()

    assert shop.ran == ["wait", "stock"]


# -- errors ------------------------------------------------------------------------------------------------------------


async def test_an_unknown_action_is_refused_with_close_matches(mesh: Mesh, shop: Shop) -> None:
    with pytest.raises(
        UnknownActionError, match=r"agent 'shop' has no action 'stok'; did you mean 'stock'\?"
    ) as caught:
        await shop.ref.call("stok", sku="assam")

    assert isinstance(caught.value, LookupError)
    assert (caught.value.address, caught.value.action) == ("shop", "stok")
    assert "stock" in caught.value.known


async def test_without_a_close_match_the_actions_are_named(mesh: Mesh) -> None:
    class One(Agent):
        @action
        async def only(self) -> None: ...

    with pytest.raises(UnknownActionError, match="it has: only"):
        await mesh.add(One("one")).call("zzz")
    with pytest.raises(UnknownActionError, match="it has none"):
        await mesh.add(Echo("echo")).call("zzz")


@pytest.mark.parametrize("name", ["text", "on_message", "__init__", "name", "ref", "_home"])
async def test_only_what_is_marked_is_an_action(mesh: Mesh, shop: Shop, name: str) -> None:
    with pytest.raises(UnknownActionError):
        await shop.ref.call(name)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"sku": 3}, r"\$\.sku|sku"),
        ({}, "sku"),
        ({"sku": "assam", "most": "many"}, "most"),
        ({"sku": "assam", "colour": "green"}, "colour"),
        ({"sku": None}, "sku"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_with_their_path(
    mesh: Mesh, shop: Shop, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ActionArgumentsError, match=reason) as caught:
        await shop.ref.call("stock", **arguments)

    assert isinstance(caught.value, ValueError)
    assert caught.value.action == "stock"
    assert shop.ran == []


@pytest.mark.parametrize("name", ["order", "pass_on_in_a_thread"])
async def test_arguments_of_plain_actions_are_checked_too(mesh: Mesh, shop: Shop, name: str) -> None:
    with pytest.raises(ActionArgumentsError):
        await shop.ref.call(name, quantity="two")

    assert shop.ran == []


async def test_the_askers_mistakes_do_not_disturb_the_supervisor(mesh: Mesh) -> None:
    class Strict(Shop):
        on_failure: OnFailure = "stop"

    strict = Strict("strict")
    ref = mesh.add(strict)

    with pytest.raises(UnknownActionError):
        await ref.call("stok")
    with pytest.raises(ActionArgumentsError):
        await ref.call("stock", sku=3)
    with pytest.raises(ActionArgumentsError):
        await ref.call("order", sku=3)

    assert await ref.call("stock", sku="assam") == 100
    assert mesh.statistics().agents["strict"].failed == 3


async def test_the_mistakes_of_a_stream_or_of_many_leave_the_law_alone(mesh: Mesh, shop: Shop) -> None:
    for _ in range(20):
        with pytest.raises(ActionArgumentsError):
            await shop.ref.call("stock", sku=3)
        with pytest.raises(ActionArgumentsError):
            await shop.ref.call("order", sku=3)

    statistics = mesh.statistics().agents["shop"]
    assert (statistics.accepted, statistics.failed) == (40, 40)


@pytest.mark.parametrize("name", ["fail", "fail_in_a_thread"])
async def test_an_action_that_raises_is_a_handler_error_that_names_it(mesh: Mesh, shop: Shop, name: str) -> None:
    with pytest.raises(HandlerError, match=f"agent shop failed on action '{name}': ValueError: no tea") as caught:
        await shop.ref.call(name, why="no tea")

    assert isinstance(caught.value.root, ValueError)
    assert caught.value.message_type == f"action '{name}'"


# -- deadlines and cancelling ------------------------------------------------------------------------------------------


async def test_a_call_ends_at_the_deadline_of_its_ref(mesh: Mesh, shop: Shop) -> None:
    while not mesh.statistics().agents["shop"].cancelled:  # on a busy machine it may expire before it has begun
        with pytest.raises(AskTimeoutError):
            await shop.ref.using(timeout=0.2).call("wait")
        await mesh.drain()

    assert mesh.statistics().agents["shop"].cancelled == 1


async def test_a_call_inherits_the_deadline_of_its_caller(mesh: Mesh, shop: Shop) -> None:
    class Caller(Agent):
        @on
        async def go(self, message: str, context: Context) -> Any:
            return await context.call("shop", "wait")

    caller = mesh.add(Caller("caller"))
    while not mesh.statistics().agents["shop"].cancelled:  # as above
        with pytest.raises(AskTimeoutError):
            await caller.ask("go", timeout=0.2)
        await mesh.drain()

    assert mesh.statistics().agents["shop"].cancelled == 1


async def test_an_action_may_be_told_by_whoever_needs_no_answer(mesh: Mesh, shop: Shop) -> None:
    await shop.ref.tell(ActionCall("stock", {"sku": "assam"}))
    await shop.ref.tell(ActionCall("stok", {}))
    await mesh.drain()

    assert shop.ran == ["stock"]
    assert mesh.statistics().agents["shop"].failed == 1


async def test_a_stream_of_an_action_has_its_answer_as_its_part(mesh: Mesh, shop: Shop) -> None:
    assert await shop.ref.stream(ActionCall("stock", {"sku": "assam"})).result() == [100]
    assert await shop.ref.stream(ActionCall("order", {"sku": "assam", "quantity": 2})).result() == [Paid(5.0)]
