# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of the verbs that are awaited; never run."""

from collections.abc import Coroutine
from typing import Any, assert_type

from ceylon import Context, Mesh, Message, Ref, Stream
from ceylon.core.agent_timers import TimerHandle


class Order(Message["Receipt"]):
    """Asks for a receipt."""

    sku: str


class Receipt(Message):
    """Answers an order."""

    total: float


async def a_ref_has_every_verb(ref: Ref) -> None:
    assert_type(await ref.ask(Order("assam")), Receipt)
    assert_type(await ref.ask(Order("assam"), timeout=5), Receipt)
    asking: Coroutine[Any, Any, Receipt] = ref.ask(Order("assam"))
    assert_type(await asking, Receipt)
    assert_type(await ref.ask("hello"), Any)
    assert_type(await ref.ask({"sku": "assam"}), Any)
    assert_type(ref.stream("hello"), Stream)
    assert_type(ref.stream("hello", timeout=5, idle_timeout=1), Stream)
    assert_type(await ref.call("stock", sku="assam"), Any)
    ref.tell_nowait("hello")
    telling: Coroutine[Any, Any, None] = ref.tell("hello")
    await telling
    assert_type(ref.using(timeout=5), Ref)
    assert_type(await ref.using(timeout=5).ask(Order("assam")), Receipt)
    assert_type(ref.address, str)


async def a_mesh_has_every_verb(mesh: Mesh, ref: Ref) -> None:
    assert_type(await mesh.ask("shop", Order("assam")), Receipt)
    assert_type(await mesh.ask(ref, Order("assam"), timeout=5), Receipt)
    asking: Coroutine[Any, Any, Receipt] = mesh.ask("shop", Order("assam"))
    assert_type(await asking, Receipt)
    assert_type(await mesh.ask("shop", "hello"), Any)
    assert_type(mesh.stream("shop", "hello"), Stream)
    assert_type(await mesh.call("shop", "stock", sku="assam", recipient="any keyword is the action's"), Any)
    assert_type(await mesh.publish("sales.lisbon", Receipt(1.5)), int)
    assert_type(await mesh.broadcast("hello", exclude=["shop", ref]), int)
    mesh.tell_nowait("shop", "hello")
    telling: Coroutine[Any, Any, None] = mesh.tell(ref, "hello")
    await telling


async def a_context_has_every_verb(context: Context, ref: Ref) -> None:
    assert_type(await context.ask("shop", Order("assam")), Receipt)
    assert_type(await context.ask(ref, Order("assam"), timeout=5), Receipt)
    assert_type(await context.ask("shop", "hello"), Any)
    assert_type(context.stream("shop", "hello"), Stream)
    assert_type(await context.call("shop", "stock", sku="assam"), Any)
    assert_type(await context.publish("sales.lisbon", Receipt(1.5)), int)
    assert_type(await context.broadcast("hello"), int)
    context.tell_nowait("shop", "hello")
    telling: Coroutine[Any, Any, None] = context.tell("shop", "hello")
    await telling


async def a_context_knows_its_message(context: Context) -> None:
    assert_type(context.sender, str)
    assert_type(context.address, str)
    assert_type(context.recipient, str)
    assert_type(context.message_id, str)
    assert_type(context.deadline, float | None)
    assert_type(context.remaining, float | None)
    assert_type(context.ref(), Ref)
    assert_type(context.ref("shop"), Ref)
    context.reply(Receipt(1.5))
    assert_type(context.after(1.0, "tick"), TimerHandle)
    assert_type(context.every(1.0, "tick"), TimerHandle)
    context.start_soon(a_context_knows_its_message, context)
    context.start_soon(a_context_knows_its_message)  # type: ignore[arg-type]
    context.start_soon(a_context_knows_its_message, "context")  # type: ignore[arg-type]
    context.start_soon(print, "a function that is not awaited")  # type: ignore[arg-type]


async def a_stream_gives_parts(ref: Ref) -> None:
    async for part in ref.stream("hello"):
        assert_type(part, Any)
    async with ref.stream("hello") as stream:
        assert_type(stream, Stream)
        assert_type(await anext(stream), Any)
        assert_type(await stream.result(), Any)
    await stream.aclose()


async def an_awaited_verb_is_not_forgotten(ref: Ref) -> None:
    ref.tell("hello")  # type: ignore[unused-coroutine]
    ref.ask("hello")  # type: ignore[unused-coroutine]


async def wrong_arguments_are_errors(ref: Ref, mesh: Mesh) -> None:
    await ref.ask(Order("assam"), timeout="soon")  # type: ignore[call-overload]
    await mesh.tell(5, "hello")  # type: ignore[arg-type]
    await mesh.publish(["sales"], "hello")  # type: ignore[arg-type]
