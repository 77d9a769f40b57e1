"""A mesh under anything that may be done to it, against a model of a few lines: equal numbers after every step.

Hypothesis chooses the steps. Each machine has a loop of its own, driven by hand, so that between two steps the mesh is
left alone until nothing moves; then its statistics, every outcome and the one law must be exactly the model's.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import Any, Final

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ceylon import Agent, CeylonError, LawBrokenError, Mesh, Message, on
from ceylon.settings import DEFAULTS, Settings
from ceylon.testing import sabotage
from support.law import check_end, check_law
from support.mesh_model import CAPACITY, AgentModel, MeshModel, Sent

SETTINGS: Final[Settings] = msgspec.structs.replace(
    DEFAULTS, backoff_first=0.0, restarts=1_000_000, tell_timeout=600.0, ask_timeout=600.0, drain_timeout=600.0
)
NAMES: Final = ("one", "two", "three")
STEPS: Final = 200  # of the loop, until numbers that are not equal count as wrong
PATIENT: Final = 100  # the first of them cost no time


class Step(Message[str]):
    """Do what is said."""

    does: str


class Player(Agent):
    """Does what a message says: ends well, fails, or waits to be let go."""

    mailbox_capacity = CAPACITY

    def __init__(self, name: str, on_failure: Any, gates: dict[str, asyncio.Event]) -> None:
        super().__init__(name)
        self.on_failure = on_failure
        self.gates = gates

    @on(topic="news")
    async def hear(self, step: Step) -> str:
        return await self.on_message(step)

    async def on_message(self, step: Step) -> str:
        if step.does == "fail":
            raise ValueError(step.does)
        if step.does == "hold":
            self.gates[self.name] = asyncio.Event()
            await self.gates[self.name].wait()
        return "done"


class MeshMachine(RuleBasedStateMachine):
    """The mesh, its model, and everybody who waits for an outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.rest = ExitStack()
        self.rest.enter_context(self.broken())
        self.loop = self.new_loop()
        self.loop.set_debug(False)  # `-X dev` keeps a stack with every future: ten times slower
        self.rest.callback(self.loop.close)
        self.model = MeshModel()
        self.gates: dict[str, asyncio.Event] = {}
        self.waiting: list[tuple[Sent, str, asyncio.Task[Any]]] = []
        self.publications: list[tuple[list[Sent], asyncio.Task[int]]] = []
        self.stops: list[asyncio.Task[None]] = []

    def broken(self) -> AbstractContextManager[None]:
        """Return what breaks the core during a run; nothing does here."""
        return nullcontext()

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of a run."""
        return asyncio.new_event_loop()

    @initialize()
    def open(self) -> None:
        self.mesh = self.run(Mesh("machine", settings=SETTINGS).start())

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def agent(self, name: str) -> AgentModel | None:
        """Return the model of the agent called *name* if that takes messages."""
        found = self.model.agents.get(name)
        return None if found is None or found.is_stopping else found

    # -- agents --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.agents) < len(NAMES))
    @rule(on_failure=st.sampled_from(("resume", "restart", "stop")))
    def add(self, on_failure: str) -> None:
        name = next(name for name in NAMES if name not in self.model.agents)
        self.model.agents[name] = AgentModel(on_failure)

        async def add() -> None:
            self.mesh.add(Player(name, on_failure, self.gates))

        self.run(add())

    @rule(name=st.sampled_from(NAMES))
    def stop(self, name: str) -> None:
        if (agent := self.agent(name)) is not None:
            self.stops.append(self.loop.create_task(self.mesh.stop(name)))
            agent.stop()

    @rule(name=st.sampled_from(NAMES))
    def release(self, name: str) -> None:
        agent = self.model.agents.get(name)
        if agent is not None and agent.held is not None:
            self.gates[name].set()
            agent.release()

    # -- messages ------------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), does=st.sampled_from(("ok", "ok", "fail", "hold")), is_ask=st.booleans())
    def send(self, name: str, does: str, *, is_ask: bool) -> None:
        sent = Sent(does, is_ask)
        verb = self.mesh.ask if is_ask else self.mesh.tell
        self.waiting.append((sent, name, self.loop.create_task(verb(name, Step(does)))))
        if (agent := self.agent(name)) is not None:
            agent.take_in(sent)
        else:
            sent.outcome = "UnknownAgentError"
            self.model.refused += 1

    @rule(name=st.sampled_from(NAMES), does=st.sampled_from(("ok", "fail", "hold")))
    def tell_nowait(self, name: str, does: str) -> None:
        async def tell() -> str:
            try:
                self.mesh.tell_nowait(name, Step(does))
            except CeylonError as error:
                return type(error).__name__
            return "sent"

        agent, expected = self.agent(name), "sent"
        if agent is None:
            expected = "UnknownAgentError"
        elif not agent.take_in(Sent(does, is_ask=False), waits=False):
            expected = "MailboxFullError"
        self.model.refused += expected != "sent"
        assert self.run(tell()) == expected

    @rule(does=st.sampled_from(("ok", "fail")))
    def publish(self, does: str) -> None:
        self.publications.append(([], self.loop.create_task(self.mesh.publish("news", Step(does)))))
        for agent in list(self.model.agents.values()):
            if agent.is_stopping:
                self.model.refused += 1
            else:
                sent = Sent(does, is_ask=False)
                self.publications[-1][0].append(sent)
                agent.take_in(sent)

    @precondition(lambda self: self.waiting)
    @rule(choice=st.randoms(use_true_random=False))
    def cancel_a_sender(self, choice: Any) -> None:
        sent, name, task = self.waiting.pop(choice.randrange(len(self.waiting)))
        if sent.outcome is None:
            self.model.agents[name].cancel(sent)
        task.cancel()
        self.loop.call_soon(task.add_done_callback, _forget_error)

    @precondition(lambda self: not any(agent.held for agent in self.model.agents.values()))
    @rule()
    def drain(self) -> None:
        self.run(asyncio.wait_for(self.mesh.drain(), 10))

    # -- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def mesh_is_as_the_model_says(self) -> None:
        if not hasattr(self, "mesh"):
            return
        self.model.sweep()
        self.run(self.settle())
        assert self.differences() == []
        check_law(self.mesh.statistics())
        self.waiting = [each for each in self.waiting if each[0].outcome is None]
        self.publications = [each for each in self.publications if not each[1].done()]
        self.stops = [each for each in self.stops if not each.done()]

    async def settle(self) -> None:
        """Let the loop run until the numbers are those of the model, and a little further."""
        for step in range(STEPS):
            if not self.differences():
                break
            await asyncio.sleep(0 if step < PATIENT else 0.001)
        for _ in range(3):
            await asyncio.sleep(0)

    def differences(self) -> list[str]:
        """Say what differs between mesh and model: numbers, and the outcomes that senders have."""
        found = self.model.differences(self.mesh.statistics())
        for sent, name, task in self.waiting:
            if (heard := _outcome(task, sent)) != sent.outcome:
                found.append(f"{sent.does} to {name}: {sent.outcome} expected, {heard} heard")
        for receivers, published in self.publications:
            if all(sent.outcome is not None for sent in receivers):
                expected = sum(sent.outcome == "sent" for sent in receivers)
                if not published.done() or published.result() != expected:
                    found.append(f"a publication that {expected} have received: {published}")
            elif published.done():
                found.append("a publication has ended although a subscriber has no room")
        return found

    def teardown(self) -> None:
        try:
            if hasattr(self, "mesh"):
                self.run(self.shut_down())
        finally:
            self.run(self.end_tasks())
            self.rest.close()

    async def shut_down(self) -> None:
        """End the mesh with whatever is under way."""
        with suppress(LawBrokenError):  # the numbers below say it in their own words
            await asyncio.wait_for(self.mesh.stop(at_once=True), 30)
        for agent in self.model.agents.values():
            agent.is_stopping = True  # nothing is begun any more
            if agent.held is not None:
                agent.cancel(agent.held)
            agent.run()
        self.model.sweep()
        check_end(self.mesh.statistics())
        assert self.model.differences(self.mesh.statistics()) == []
        if self.waiting:
            _, left = await asyncio.wait([task for _, _, task in self.waiting], timeout=10)
            assert not left, f"{len(left)} senders never heard anything"

    async def end_tasks(self) -> None:
        """Leave nothing on the loop, also after a failure."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        senders = [task for _, _, task in self.waiting] + [task for _, task in self.publications] + self.stops
        await asyncio.gather(*tasks, *senders, return_exceptions=True)


def _outcome(task: "asyncio.Task[Any]", sent: Sent) -> str | None:
    """Return what a sender has heard, if it has."""
    if not task.done():
        return None
    error = task.exception()
    if error is not None:
        return type(error).__name__
    return "reply" if sent.is_ask else "sent"


def _forget_error(task: "asyncio.Task[Any]") -> None:
    """Read the error of a task whose sender has left, or asyncio complains."""
    if not task.cancelled():
        task.exception()


FAST: Final = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_mesh_is_always_as_its_model_says(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    class Machine(MeshMachine):
        def new_loop(self) -> asyncio.AbstractEventLoop:
            return new_loop()

    run_state_machine_as_test(Machine, settings=FAST)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_mesh_is_as_its_model_says_in_two_thousand_runs() -> None:
    run_state_machine_as_test(MeshMachine, settings=settings(FAST, max_examples=2_000, stateful_step_count=60))


@pytest.mark.breaks_the_law
@pytest.mark.parametrize(
    "broken",
    [
        lambda: sabotage.drop_a_message(3),
        lambda: sabotage.lose_a_reply(2),
        sabotage.skip_fifo,
        sabotage.run_two_at_once,
    ],
    ids=["drop a message", "lose a reply", "skip FIFO", "run two at once"],
)
def test_the_machine_finds_a_broken_mesh(broken: Callable[[], AbstractContextManager[None]]) -> None:
    class Sabotaged(MeshMachine):
        def broken(self) -> AbstractContextManager[None]:
            return broken()

    with pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(Sabotaged, settings=settings(FAST, max_examples=2_000, phases=[Phase.generate]))
