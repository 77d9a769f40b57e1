"""Every public verb, awaited once: what an async caller does with it, and what comes of it as plain JSON."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import anyio
import anyio.to_thread

import ceylon
from ceylon import Agent, BlockingCallError, Mesh, RequestCancelledError, UnknownAgentError
from support.callers_agents import PEOPLE, Heard, Listener, News, Order, Shop
from support.callers_awaited_models import AWAITED_MODELS
from support.callers_errands import RUNNERS, Errand, Ring, Rung, Verb
from support.callers_stage import Stage
from support.callers_table import entering

__all__ = ["AWAITED"]

Use: TypeAlias = Callable[[Stage[Mesh]], Awaitable[Any]]

AWAITED: Final[dict[str, Use]] = {}
"""What to do with each verb, by its name."""


of = entering(AWAITED)


# -- the mesh ----------------------------------------------------------------------------------------------------------


@of("mesh.tell")
async def tell(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    await stage.mesh.tell("listener", News(label))
    return await stage.mesh.ask("listener", Heard(label))


@of("mesh.tell_nowait")
async def tell_nowait(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    await tell_now(stage, News(label), lambda news: stage.mesh.tell_nowait("listener", news))
    return await stage.mesh.ask("listener", Heard(label))


@of("mesh.ask")
async def ask(stage: Stage[Mesh]) -> Any:
    receipt = await stage.mesh.ask("shop", Order("assam", 2))
    return receipt.total


@of("mesh.ask_of_a_sync_handler")
async def ask_sync(stage: Stage[Mesh]) -> Any:
    return await stage.mesh.ask("pricer", "assam")


@of("mesh.stream")
async def stream(stage: Stage[Mesh]) -> Any:
    return [part async for part in stage.mesh.stream("shop", "one two three")]


@of("mesh.submit")
async def submit(stage: Stage[Mesh]) -> Any:
    request = await stage.mesh.submit("shop", 7)
    return await request


@of("mesh.pending")
async def pending(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    request = await stage.mesh.submit("porter", Rung(label))
    was_pending = request in stage.mesh.pending()
    await stage.mesh.tell("porter", Ring(label))
    await request
    return [was_pending, request in stage.mesh.pending()]


@of("mesh.results")
async def results(stage: Stage[Mesh]) -> Any:
    request = await stage.mesh.submit("shop", 7)
    await stage.mesh.drain()
    found = [result.value for result in stage.mesh.results() if result.id == request.id]
    await request
    return found


@of("mesh.wait_for")
async def wait_for(stage: Stage[Mesh]) -> Any:
    request = await stage.mesh.submit("shop", 7)
    return await stage.mesh.wait_for(request.id, timeout=60)


@of("mesh.collect")
async def collect(stage: Stage[Mesh]) -> Any:
    mesh = await Mesh("corner").start()  # whoever collects takes what others have submitted, too
    shop = mesh.add(Shop("shop"))
    for number in (7, 8):
        _ = await shop.submit(number)
    results = await mesh.collect()
    await mesh.stop()
    return [result.value for result in results]


@of("request.wait")
async def request_wait(stage: Stage[Mesh]) -> Any:
    request = await stage.mesh.submit("shop", 7)
    return await anyio.to_thread.run_sync(request.wait)


@of("request.cancel")
async def request_cancel(stage: Stage[Mesh]) -> Any:
    request = await stage.mesh.submit("porter", Rung(stage.label()))
    request.cancel()
    try:
        await request
    except RequestCancelledError:
        return request.is_done


@of("mesh.call")
async def call(stage: Stage[Mesh]) -> Any:
    return await stage.mesh.call("shop", "stock", sku="assam")


@of("mesh.publish")
async def publish(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    received = await stage.mesh.publish("sales.tea", News(label))
    return [received, await stage.mesh.ask("listener", Heard(label))]


@of("mesh.subscribe")
async def subscribe(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    subscription = stage.mesh.subscribe(f"weather.{label}", "listener")
    received = await stage.mesh.publish(f"weather.{label}", News(label))
    subscription.cancel()
    missed = await stage.mesh.publish(f"weather.{label}", News(label))
    return [received, missed, await stage.mesh.ask("listener", Heard(label))]


@of("mesh.broadcast")
async def broadcast(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    received = await stage.mesh.broadcast(News(label), exclude=["assistant"])
    return [received >= len(PEOPLE), await stage.mesh.ask("listener", Heard(label))]


@of("mesh.add")
async def add(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    answer = await stage.mesh.add(Listener(label)).ask(Heard(label))
    await stage.mesh.stop(label)
    return answer


@of("mesh.agent")
async def agent(stage: Stage[Mesh]) -> Any:
    found = stage.mesh.agent("shop")
    assert isinstance(found, Agent)
    return await found.ref.ask(7)


@of("mesh.ref")
async def ref(stage: Stage[Mesh]) -> Any:
    return await stage.mesh.ref("shop").ask(7)


@of("mesh.register")
async def register(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    family = stage.mesh.register(Shop, label)
    answer = await family.ref("lisbon").ask(7)
    await stage.mesh.stop(label)
    return answer


@of("mesh.pool")
async def pool(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    shops = stage.mesh.pool(Shop, label, size=2)
    await shops.resize(1)
    answer = await shops.ask(7)
    await stage.mesh.stop(label)
    return answer


@of("mesh.start")
async def start(stage: Stage[Mesh]) -> Any:
    mesh = await Mesh("corner").start()
    answer = await mesh.add(Shop("shop")).ask(7)
    await mesh.stop()
    return answer


@of("mesh.stop")
async def stop(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    stage.mesh.add(Listener(label))
    await stage.mesh.stop(label)
    try:
        await stage.mesh.ask(label, Heard(label))
    except UnknownAgentError:
        return label not in stage.mesh.agents


@of("mesh.wait")
async def wait(stage: Stage[Mesh]) -> Any:
    mesh = await Mesh("corner").start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mesh.stop)
        await mesh.wait()
    return mesh.is_open


@of("mesh.drain")
async def drain(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    await stage.mesh.tell("porter", Errand("tell", label))
    await stage.mesh.drain()
    return await stage.mesh.ask("listener", Heard(label))


@of("mesh.statistics")
async def statistics(stage: Stage[Mesh]) -> Any:
    return stage.mesh.statistics().agents["shop"].state


@of("mesh.dead_letters")
async def dead_letters(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    try:
        await stage.mesh.tell(label, "hello")
    except UnknownAgentError:
        return [letter.reason for letter in stage.mesh.dead_letters() if letter.envelope.recipient == label]


@of("mesh.ledger")
async def ledger(stage: Stage[Mesh]) -> Any:
    return "shop" in stage.mesh.ledger().statistics.agents


@of("mesh.waits")
async def waits(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    return [str(wait) for wait in stage.mesh.waits() if label in {wait.waiter, wait.on}]


@of("mesh.why")
async def why(stage: Stage[Mesh]) -> Any:
    label = stage.label()
    with contextlib.suppress(UnknownAgentError):
        await stage.mesh.tell(label, "hello")
    (letter,) = [letter for letter in stage.mesh.dead_letters() if letter.envelope.recipient == label]
    found = stage.mesh.why(stage.mesh.interior.message_id(letter.envelope.id))
    return [found.state, found.detail]


@of("mesh.draw")
async def draw(stage: Stage[Mesh]) -> Any:
    return '["shop<br/>Shop<br/>' in stage.mesh.draw()


@of("default_mesh")
async def default_mesh(stage: Stage[Mesh]) -> Any:
    shop = Shop(stage.label())
    await anyio.to_thread.run_sync(lambda: ceylon.default_mesh().add(shop))
    answer = await shop.ref.ask(7)
    await anyio.to_thread.run_sync(lambda: ceylon.default_mesh().stop(shop.name))
    return answer


async def tell_now(stage: Stage[Mesh], news: News, verb: Callable[[News], None]) -> None:
    """Use a `tell_nowait`: on the mesh's own loop as it is; from another it says what to write, and that works."""
    if not stage.is_foreign:
        verb(news)
        return
    try:
        verb(news)
    except BlockingCallError:
        await anyio.to_thread.run_sync(stage.mesh.blocking.ref("listener").tell_nowait, news)


# -- refs and streams --------------------------------------------------------------------------------------------------


@of("ref.tell")
async def ref_tell(stage: Stage[Mesh]) -> Any:
    listener, label = stage.mesh.ref("listener"), stage.label()
    await listener.tell(News(label))
    return await listener.ask(Heard(label))


@of("ref.tell_nowait")
async def ref_tell_nowait(stage: Stage[Mesh]) -> Any:
    listener, label = stage.mesh.ref("listener"), stage.label()
    await tell_now(stage, News(label), listener.tell_nowait)
    return await listener.ask(Heard(label))


@of("ref.ask")
async def ref_ask(stage: Stage[Mesh]) -> Any:
    receipt = await stage.mesh.ref("shop").ask(Order("assam", 2))
    return receipt.total


@of("ref.stream")
async def ref_stream(stage: Stage[Mesh]) -> Any:
    return [part async for part in stage.mesh.ref("shop").stream("one two three")]


@of("ref.submit")
async def ref_submit(stage: Stage[Mesh]) -> Any:
    request = await stage.mesh.ref("shop").submit(7)
    return await request


@of("ref.call")
async def ref_call(stage: Stage[Mesh]) -> Any:
    return await stage.mesh.ref("shop").call("stock", sku="assam")


@of("ref.using")
async def ref_using(stage: Stage[Mesh]) -> Any:
    return await stage.mesh.ref("shop").using(timeout=60).ask(7)


@of("stream.result")
async def stream_result(stage: Stage[Mesh]) -> Any:
    return await stage.mesh.stream("shop", "one two three").result()


@of("stream.close")
async def stream_close(stage: Stage[Mesh]) -> Any:
    parts = stage.mesh.stream("shop", "one two three")
    first = await anext(parts)
    await parts.aclose()
    return [first, [part async for part in parts]]


# -- what a handler has in its context: one errand on the loop, one in a thread ---------------------------------------


def _errand(verb: Verb, runners: Sequence[str]) -> Use:
    async def run(stage: Stage[Mesh]) -> Any:
        return [await stage.mesh.ask(runner, Errand(verb, stage.label())) for runner in runners]

    return run


AWAITED.update({f"context.{verb}": _errand(verb, runners) for verb, runners in RUNNERS.items()})


AWAITED.update(AWAITED_MODELS)
