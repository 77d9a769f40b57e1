# pyright: reportUnnecessaryTypeIgnoreComment=true
# mypy: disable-error-code="unused-awaitable"
"""What the type checkers know of requests, which may be left to be collected, and of marked methods; never run."""

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from ceylon import (
    Agent,
    BlockingContext,
    BlockingMesh,
    BlockingRef,
    Context,
    Mesh,
    Message,
    Ref,
    Request,
    RequestResult,
    cron,
    every,
)
from ceylon.core.agent_timers import TimerHandle


class Order(Message["Receipt"], tag="typing.requests.Order"):
    """Asks for a receipt."""

    sku: str


class Receipt(Message, tag="typing.requests.Receipt"):
    """Answers an order."""

    total: float


async def a_request_knows_its_reply(ref: Ref, mesh: Mesh, context: Context) -> None:
    assert_type(await ref.submit(Order("assam")), Request[Receipt])
    assert_type(await (await ref.submit(Order("assam"), timeout=5)), Receipt)
    assert_type(await mesh.submit("shop", Order("assam")), Request[Receipt])
    assert_type(await context.submit(ref, "hello"), Request[Any])
    assert_type(await mesh.wait_for(await ref.submit(Order("assam"))), Receipt)
    assert_type(await mesh.wait_for("an id", timeout=5), Any)
    assert_type(mesh.pending(), list[Request[Any]])
    assert_type(await mesh.collect(timeout=0), list[RequestResult])


def a_request_knows_its_reply_in_threads_too(ref: BlockingRef, mesh: BlockingMesh, context: BlockingContext) -> None:
    assert_type(ref.submit(Order("assam")).wait(timeout=5), Receipt)
    assert_type(mesh.submit("shop", Order("assam")), Request[Receipt])
    assert_type(context.submit("shop", "hello"), Request[Any])
    assert_type(mesh.wait_for(ref.submit(Order("assam"))), Receipt)
    assert_type(mesh.results(), list[RequestResult])


class Office(Agent):
    """Keeps its type where methods are marked."""

    @every("5m")
    async def sweep(self) -> int:
        """Sweep."""
        return 1

    @cron("0 9 * * mon", timezone="Europe/Lisbon")
    def open(self, context: BlockingContext) -> str:
        """Open."""
        return context.address


async def a_marked_method_is_what_it_was(office: Office, context: BlockingContext) -> None:
    assert_type(await office.sweep(), int)
    assert_type(office.open(context), str)


def timers_take_times_of_many_kinds(context: Context, blocking: BlockingContext) -> None:
    assert_type(context.after("5m", "tick"), TimerHandle)
    assert_type(context.every(timedelta(minutes=5), "tick"), TimerHandle)
    assert_type(context.at(datetime(2027, 1, 1, tzinfo=UTC), "tick"), TimerHandle)
    assert_type(blocking.cron("0 9 * * *", "tick", timezone="Europe/Lisbon"), TimerHandle)
    context.after([5], "tick")  # type: ignore[arg-type]
