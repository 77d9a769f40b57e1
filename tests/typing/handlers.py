# pyright: reportUnnecessaryTypeIgnoreComment=true
"""Marking a function as a handler or an action leaves its type as it is; never run."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, assert_type

from ceylon import Action, Agent, BlockingContext, Context, Message, Ref, action, on


class Order(Message["Receipt"]):
    """Asks for a receipt."""

    sku: str


class Receipt(Message):
    """Answers an order."""

    total: float


class Shop(Agent):
    """Has every kind of handler and action."""

    def __init__(self, name: str, *, floor: int = 0) -> None:
        super().__init__(name)
        self.floor = floor

    @on
    async def order(self, order: Order, context: Context) -> Receipt:
        return Receipt(1.5)

    @on(topic="sales.*")
    def sold(self, receipt: Receipt, context: BlockingContext) -> None: ...

    @on(inline=True, shielded=True)
    def count(self, number: int) -> int:
        return number

    @on
    async def story(self, wish: str) -> AsyncIterator[str]:
        yield wish

    @on
    def letters(self, word: bytes) -> Iterator[int]:
        yield from word

    @action
    def stock(self, sku: str, *, most: int = 100) -> int:
        return most

    @action(name="order_more", description="Order packets of a tea.")
    async def refill(self, sku: str, context: Context) -> list[str]:
        return [sku]


@action
def add(a: int, b: int = 0) -> int:
    return a + b


@action(name="divide")
async def split(a: int, b: int) -> float:
    return a / b


async def a_handler_keeps_its_type(shop: Shop, order: Order, context: Context, blocking: BlockingContext) -> None:
    handling: Coroutine[Any, Any, Receipt] = shop.order(order, context)
    assert_type(await handling, Receipt)
    assert_type(shop.count(1), int)
    assert_type(shop.story("tea"), AsyncIterator[str])
    assert_type(shop.letters(b"tea"), Iterator[int])
    shop.sold(Receipt(1.5), blocking)
    shop.count("one")  # type: ignore[arg-type]


async def an_action_keeps_its_type(shop: Shop, context: Context) -> None:
    assert_type(shop.stock("assam", most=5), int)
    assert_type(await shop.refill("assam", context), list[str])
    assert_type(add(1), int)
    assert_type(add(a=1, b=2), int)
    assert_type(await split(1, 2), float)
    shop.stock(sku=5)  # type: ignore[arg-type]
    add("one")  # type: ignore[arg-type]
    await split(1)  # type: ignore[call-arg]


def marks_take_options_by_name_only() -> None:
    on("sales.*")  # type: ignore[call-overload]
    on(topic=5)  # type: ignore[call-overload]
    action(5)  # type: ignore[call-overload]


def making_an_agent_is_what_its_constructor_says() -> None:
    assert_type(Shop("shop", floor=1), Shop)
    assert_type(Shop("shop").floor, int)
    Shop()  # type: ignore[call-arg]
    Shop("shop", 1)  # type: ignore[call-arg]
    Shop("shop", floor="first")  # type: ignore[arg-type]


def an_agent_knows_itself(shop: Shop) -> None:
    assert_type(shop.name, str)
    assert_type(shop.actions, Mapping[str, Action])
    assert_type(shop.actions["stock"].schema, dict[str, Any])
    assert_type(shop.actions["stock"].description, str)
    assert_type(shop.ref, Ref)
    shop.name = "kiosk"  # type: ignore[misc]


def a_function_marked_with_options_is_still_that_function(mark: Callable[[int], str]) -> None:
    assert_type(action(name="told")(mark), Callable[[int], str])
    assert_type(on(inline=True)(mark), Callable[[int], str])
