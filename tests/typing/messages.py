# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of messages; read by mypy and pyright in the gates, never run.

An ignore comment here is an assertion too: both checkers complain of one that is not needed.
"""

from typing import Any, assert_type

from msgspec import field

from ceylon import Message, Ref


class Order(Message["Receipt"]):
    """Names its reply before that is defined."""

    sku: str
    quantity: int = 1
    notes: list[str] = field(default_factory=list)


class Receipt(Message):
    """Says nothing of a reply."""

    total: float


class Answered(Message[int | None]):
    """Has no field."""


class GiftOrder(Order):
    """Inherits fields and reply."""

    greeting: str = ""


class Boxed(Message, tag="box", frozen=True):
    """Takes the options of a Struct."""

    inside: Order


def fields_keep_their_types(order: Order, gift: GiftOrder) -> None:
    assert_type(order.sku, str)
    assert_type(order.quantity, int)
    assert_type(order.notes, list[str])
    assert_type(gift.sku, str)
    assert_type(gift.greeting, str)


def fields_are_given_by_position_or_by_name() -> None:
    assert_type(Order("assam"), Order)
    assert_type(Order("assam", 2), Order)
    assert_type(Order("assam", quantity=2), Order)
    assert_type(Order(sku="assam", quantity=2, notes=["dry"]), Order)
    assert_type(GiftOrder("assam", 2, [], "hello"), GiftOrder)
    assert_type(Receipt(total=1.5), Receipt)
    assert_type(Boxed(Order("assam")), Boxed)


def wrong_fields_are_errors() -> None:
    Order()  # type: ignore[call-arg]
    Order(2)  # type: ignore[arg-type]
    Order("assam", amount=2)  # type: ignore[call-arg]
    Answered(1)  # type: ignore[call-arg]


def fields_are_read_only(order: Order, receipt: Receipt, gift: GiftOrder) -> None:
    order.sku = "darjeeling"  # type: ignore[misc]
    order.quantity += 1  # type: ignore[misc]
    receipt.total = 0.0  # type: ignore[misc]
    gift.sku = "darjeeling"  # type: ignore[misc]
    gift.greeting = "hi"  # type: ignore[misc]


async def the_reply_type_of_a_message_is_what_it_says(ref: Ref, gift: GiftOrder) -> None:
    assert_type(await ref.ask(Order("assam")), Receipt)
    assert_type(await ref.ask(gift), Receipt)
    assert_type(await ref.ask(Answered()), int | None)
    assert_type(await ref.ask(Receipt(1.5)), Any)
    assert_type(await ref.ask(Boxed(Order("assam"))), Any)
