# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of the verbs that block; never run."""

from typing import Any, assert_type

from ceylon import BlockingContext, BlockingMesh, BlockingRef, BlockingStream, Message, Ref


class Order(Message["Receipt"]):
    """Asks for a receipt."""

    sku: str


class Receipt(Message):
    """Answers an order."""

    total: float


def a_blocking_ref_has_every_verb(ref: BlockingRef) -> None:
    assert_type(ref.ask(Order("assam")), Receipt)
    assert_type(ref.ask(Order("assam"), timeout=5), Receipt)
    assert_type(ref.ask("hello"), Any)
    assert_type(ref.stream("hello"), BlockingStream)
    assert_type(ref.call("stock", sku="assam"), Any)
    assert_type(ref.using(timeout=5), BlockingRef)
    assert_type(ref.address, str)
    ref.tell("hello")
    ref.tell_nowait("hello")


def a_blocking_mesh_has_every_verb(mesh: BlockingMesh, ref: BlockingRef, other: Ref) -> None:
    assert_type(mesh.ask("shop", Order("assam")), Receipt)
    assert_type(mesh.ask(ref, Order("assam"), timeout=5), Receipt)
    assert_type(mesh.ask(other, Order("assam")), Receipt)
    assert_type(mesh.ask("shop", "hello"), Any)
    assert_type(mesh.stream("shop", "hello", idle_timeout=1), BlockingStream)
    assert_type(mesh.call("shop", "stock", sku="assam"), Any)
    assert_type(mesh.publish("sales.lisbon", Receipt(1.5)), int)
    assert_type(mesh.broadcast("hello", exclude=["shop", ref]), int)
    mesh.tell("shop", "hello")


def a_blocking_context_has_every_verb(context: BlockingContext) -> None:
    assert_type(context.ask("shop", Order("assam")), Receipt)
    assert_type(context.ask("shop", "hello"), Any)
    assert_type(context.stream("shop", "hello"), BlockingStream)
    assert_type(context.call("shop", "stock", sku="assam"), Any)
    assert_type(context.publish("sales.lisbon", Receipt(1.5)), int)
    assert_type(context.broadcast("hello"), int)
    assert_type(context.sender, str)
    assert_type(context.deadline, float | None)
    context.tell("shop", "hello")
    context.reply(Receipt(1.5))
    context.after(1.0, "tick").cancel()
    context.every(1.0, "tick").cancel()


def a_blocking_stream_gives_parts(ref: BlockingRef) -> None:
    for part in ref.stream("hello"):
        assert_type(part, Any)
    with ref.stream("hello") as stream:
        assert_type(stream, BlockingStream)
        assert_type(next(stream), Any)
        assert_type(stream.result(), Any)
    stream.close()


async def a_blocking_verb_is_not_awaited(ref: BlockingRef, mesh: BlockingMesh) -> None:
    await ref.tell("hello")  # type: ignore[func-returns-value, misc]
    await mesh.drain()  # type: ignore[func-returns-value, misc]
