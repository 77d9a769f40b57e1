"""Every public verb in its blocking form, used once: what a script or a thread does with it."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import ceylon
from ceylon import Agent, BlockingMesh, RequestCancelledError, UnknownAgentError
from support.callers_agents import PEOPLE, Heard, Listener, News, Order, Shop
from support.callers_blocking_models import BLOCKING_MODELS
from support.callers_errands import RUNNERS, Errand, Ring, Rung, Verb
from support.callers_stage import Stage
from support.callers_table import entering

__all__ = ["BLOCKING"]

Use: TypeAlias = Callable[[Stage[BlockingMesh]], Any]

BLOCKING: Final[dict[str, Use]] = {}
"""What to do with each verb, by its name."""


of = entering(BLOCKING)


# -- the mesh ----------------------------------------------------------------------------------------------------------


@of("mesh.tell")
def tell(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    stage.mesh.tell("listener", News(label))
    return stage.mesh.ask("listener", Heard(label))


@of("mesh.ask")
def ask(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.ask("shop", Order("assam", 2)).total


@of("mesh.ask_of_a_sync_handler")
def ask_sync(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.ask("pricer", "assam")


@of("mesh.stream")
def stream(stage: Stage[BlockingMesh]) -> Any:
    return list(stage.mesh.stream("shop", "one two three"))


@of("mesh.submit")
def submit(stage: Stage[BlockingMesh]) -> Any:
    request = stage.mesh.submit("shop", 7)
    return request.wait()


@of("mesh.pending")
def pending(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    request = stage.mesh.submit("porter", Rung(label))
    was_pending = request in stage.mesh.pending()
    stage.mesh.tell("porter", Ring(label))
    request.wait()
    return [was_pending, request in stage.mesh.pending()]


@of("mesh.results")
def results(stage: Stage[BlockingMesh]) -> Any:
    request = stage.mesh.submit("shop", 7)
    stage.mesh.drain()
    found = [result.value for result in stage.mesh.results() if result.id == request.id]
    request.wait()
    return found


@of("mesh.wait_for")
def wait_for(stage: Stage[BlockingMesh]) -> Any:
    request = stage.mesh.submit("shop", 7)
    return stage.mesh.wait_for(request.id, timeout=60)


@of("mesh.collect")
def collect(stage: Stage[BlockingMesh]) -> Any:
    mesh = BlockingMesh("corner").start()  # whoever collects takes what others have submitted, too
    shop = mesh.add(Shop("shop"))
    for number in (7, 8):
        _ = shop.submit(number)
    results = mesh.collect()
    mesh.stop()
    return [result.value for result in results]


@of("request.wait")
def request_wait(stage: Stage[BlockingMesh]) -> Any:
    request = stage.mesh.submit("shop", 7)
    return request.wait()


@of("request.cancel")
def request_cancel(stage: Stage[BlockingMesh]) -> Any:
    request = stage.mesh.submit("porter", Rung(stage.label()))
    request.cancel()
    try:
        request.wait()
    except RequestCancelledError:
        return request.is_done


@of("mesh.call")
def call(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.call("shop", "stock", sku="assam")


@of("mesh.publish")
def publish(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    received = stage.mesh.publish("sales.tea", News(label))
    return [received, stage.mesh.ask("listener", Heard(label))]


@of("mesh.subscribe")
def subscribe(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    subscription = stage.mesh.subscribe(f"weather.{label}", "listener")
    received = stage.mesh.publish(f"weather.{label}", News(label))
    subscription.cancel()
    missed = stage.mesh.publish(f"weather.{label}", News(label))
    return [received, missed, stage.mesh.ask("listener", Heard(label))]


@of("mesh.broadcast")
def broadcast(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    received = stage.mesh.broadcast(News(label), exclude=["assistant"])
    return [received >= len(PEOPLE), stage.mesh.ask("listener", Heard(label))]


@of("mesh.add")
def add(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    answer = stage.mesh.add(Listener(label)).ask(Heard(label))
    stage.mesh.stop(label)
    return answer


@of("mesh.agent")
def agent(stage: Stage[BlockingMesh]) -> Any:
    found = stage.mesh.agent("shop")
    assert isinstance(found, Agent)
    return found.ref.blocking.ask(7)


@of("mesh.ref")
def ref(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.ref("shop").ask(7)


@of("mesh.register")
def register(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    family = stage.mesh.register(Shop, label)
    answer = family.ref("lisbon").ask(7)
    stage.mesh.stop(label)
    return answer


@of("mesh.pool")
def pool(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    shops = stage.mesh.pool(Shop, label, size=2)
    shops.resize(1)
    answer = shops.ask(7)
    stage.mesh.stop(label)
    return answer


@of("mesh.start")
def start(stage: Stage[BlockingMesh]) -> Any:
    mesh = BlockingMesh("corner").start()
    answer = mesh.add(Shop("shop")).ask(7)
    mesh.stop()
    return answer


@of("mesh.stop")
def stop(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    stage.mesh.add(Listener(label))
    stage.mesh.stop(label)
    try:
        stage.mesh.ask(label, Heard(label))
    except UnknownAgentError:
        return label not in stage.mesh.agents


@of("mesh.wait")
def wait(stage: Stage[BlockingMesh]) -> Any:
    mesh = BlockingMesh("corner").start()
    stopper = threading.Thread(target=mesh.stop)
    stopper.start()
    mesh.wait()
    stopper.join()
    return mesh.is_open


@of("mesh.drain")
def drain(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    stage.mesh.tell("porter", Errand("tell", label))
    stage.mesh.drain()
    return stage.mesh.ask("listener", Heard(label))


@of("mesh.statistics")
def statistics(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.statistics().agents["shop"].state


@of("mesh.dead_letters")
def dead_letters(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    try:
        stage.mesh.tell(label, "hello")
    except UnknownAgentError:
        return [letter.reason for letter in stage.mesh.dead_letters() if letter.envelope.recipient == label]


@of("mesh.ledger")
def ledger(stage: Stage[BlockingMesh]) -> Any:
    return "shop" in stage.mesh.ledger().statistics.agents


@of("mesh.waits")
def waits(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    return [str(wait) for wait in stage.mesh.waits() if label in {wait.waiter, wait.on}]


@of("mesh.why")
def why(stage: Stage[BlockingMesh]) -> Any:
    label = stage.label()
    with contextlib.suppress(UnknownAgentError):
        stage.mesh.tell(label, "hello")
    (letter,) = [letter for letter in stage.mesh.dead_letters() if letter.envelope.recipient == label]
    found = stage.mesh.why(stage.mesh.interior.message_id(letter.envelope.id))
    return [found.state, found.detail]


@of("mesh.draw")
def draw(stage: Stage[BlockingMesh]) -> Any:
    return '["shop<br/>Shop<br/>' in stage.mesh.draw()


@of("default_mesh")
def default_mesh(stage: Stage[BlockingMesh]) -> Any:
    mesh, label = ceylon.default_mesh(), stage.label()
    answer = mesh.add(Shop(label)).ask(7)
    mesh.stop(label)
    return answer


# -- refs and streams --------------------------------------------------------------------------------------------------


@of("ref.tell")
def ref_tell(stage: Stage[BlockingMesh]) -> Any:
    listener, label = stage.mesh.ref("listener"), stage.label()
    listener.tell(News(label))
    return listener.ask(Heard(label))


@of("mesh.tell_nowait", "ref.tell_nowait")
def ref_tell_nowait(stage: Stage[BlockingMesh]) -> Any:
    listener, label = stage.mesh.ref("listener"), stage.label()
    listener.tell_nowait(News(label))
    return listener.ask(Heard(label))


@of("ref.ask")
def ref_ask(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.ref("shop").ask(Order("assam", 2)).total


@of("ref.stream")
def ref_stream(stage: Stage[BlockingMesh]) -> Any:
    return list(stage.mesh.ref("shop").stream("one two three"))


@of("ref.submit")
def ref_submit(stage: Stage[BlockingMesh]) -> Any:
    request = stage.mesh.ref("shop").submit(7)
    return request.wait()


@of("ref.call")
def ref_call(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.ref("shop").call("stock", sku="assam")


@of("ref.using")
def ref_using(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.ref("shop").using(timeout=60).ask(7)


@of("stream.result")
def stream_result(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.stream("shop", "one two three").result()


@of("stream.close")
def stream_close(stage: Stage[BlockingMesh]) -> Any:
    parts = stage.mesh.stream("shop", "one two three")
    first = next(parts)
    parts.close()
    return [first, list(parts)]


# -- what a handler has in its context: one errand on the loop, one in a thread ----------------------------------------


def _errand(verb: Verb, runners: Sequence[str]) -> Use:
    def run(stage: Stage[BlockingMesh]) -> Any:
        return [stage.mesh.ask(runner, Errand(verb, stage.label())) for runner in runners]

    return run


BLOCKING.update({f"context.{verb}": _errand(verb, runners) for verb, runners in RUNNERS.items()})


BLOCKING.update(BLOCKING_MODELS)
