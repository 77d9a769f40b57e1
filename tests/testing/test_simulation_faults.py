"""Every kind of fault is seen in histories, keeps what the mesh promises, and can be switched off."""

import functools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon import Agent, BlockingContext, CeylonError, Context, HandlerError, InjectedFaultError, LlmAgent, ModelError
from ceylon.settings import DEFAULTS
from ceylon.testing import Faults, ScriptedModel, Simulation, SimulationOutcome, What, run_simulation
from ceylon.testing.simulation.faults import KINDS, NO_FAULTS
from support.simulated import run_shops
from support.simulated_family import run_family
from support.simulated_newsroom import run_newsroom

SEEDS: Final = 100

bearing = functools.partial(run_shops, bears_faults=True)


def only(kind: str, rate: float = 1.0) -> Faults:
    """Return faults of one kind, always."""
    return msgspec.structs.replace(NO_FAULTS, **{kind: rate})


def faults_in(outcome: SimulationOutcome) -> list[str]:
    return [event.detail for event in outcome.history.of(What.FAULT)]


@pytest.mark.parametrize("program", [bearing, run_newsroom, run_family])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_promises_hold_with_every_fault_on(program: Callable[[Simulation], Awaitable[None]], backend: str) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(SEEDS):
        outcome = run_simulation(program, seed=seed, faults=Faults(), backend=backend)
        kinds.update(outcome.faults)

        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"

    assert set(kinds) == set(KINDS)
    assert all(SEEDS / 5 < count < SEEDS * 4 / 5 for count in kinds.values()), "each seed has a swarm of its own"


def test_a_delay_is_virtual_time_and_keeps_the_order_of_each_sender() -> None:
    outcome = run_simulation(bearing, seed=1, faults=only("delay"))

    assert outcome.error is None
    assert any("is looked at" in words for words in faults_in(outcome))
    assert outcome.virtual_seconds > 1


def test_messages_are_reordered_between_senders_only() -> None:
    said: list[str] = []
    for seed in range(20):
        outcome = run_simulation(bearing, seed=seed, faults=only("reorder"))
        said += faults_in(outcome)

        assert outcome.error is None

    assert any(words.startswith("overtakes") for words in said)


class Patient(Agent):
    """Awaits four times, and says how far it came."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.came_to: set[int] = set()

    async def on_message(self, _: str) -> None:
        step = 0
        try:
            for step in range(1, 5):  # noqa: B007 – read when it is over
                await anyio.sleep(1)
        except InjectedFaultError:
            self.came_to.add(step)
            raise


class PatientInAThread(Agent):
    def on_message(self, _: str, context: BlockingContext) -> None:
        context.tell("patient", "x")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handler_crashes_at_any_of_its_awaits_and_the_asker_hears_of_it(backend: str) -> None:
    came_to: set[int] = set()
    errors: list[BaseException] = []

    async def run(simulation: Simulation) -> None:
        patient = Patient("patient")
        async with simulation.mesh() as mesh:
            mesh.add(patient)
            for _ in range(5):
                try:
                    await mesh.ask("patient", "x")
                except HandlerError as error:
                    errors.append(error.root)
        came_to.update(patient.came_to)

    for seed in range(10):
        outcome = run_simulation(run, seed=seed, faults=only("crash"), backend=backend)

        assert outcome.error is None
        assert {event.detail for event in outcome.history.of(What.ENDED)} == {"failed"}

    assert came_to == {1, 2, 3}  # and before the first: then no handler runs
    assert {type(error) for error in errors} == {InjectedFaultError}


def test_a_sync_handler_crashes_and_dawdles_too() -> None:
    async def run(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Patient("patient"))
            mesh.add(PatientInAThread("thread"))
            await mesh.tell("thread", "x")

    crashed = run_simulation(run, seed=1, faults=only("crash"))
    slow = run_simulation(run, seed=1, faults=only("slow"))

    assert [event.detail for event in crashed.history.of(What.ENDED)] == ["failed"]
    assert len(faults_in(slow)) == 2
    assert slow.virtual_seconds > 4
    assert crashed.error is slow.error is None


def test_only_agents_that_bear_it_get_a_message_twice() -> None:
    outcome = run_simulation(bearing, seed=1, faults=only("duplicate"))
    twice = outcome.history.of(What.FAULT)

    assert outcome.error is None
    assert twice
    assert {event.recipient for event in twice} == {"bank"}
    assert {event.id for event in twice} <= {event.id for event in outcome.history.of(What.ACCEPTED)}


def test_a_model_fails_in_every_way_a_model_can() -> None:
    raised: Counter[str] = Counter()

    async def run(simulation: Simulation) -> None:
        model = simulation.model(ScriptedModel(["one two three four"] * 20))
        async with simulation.mesh(settings=msgspec.structs.replace(DEFAULTS, retry_tries=1)) as mesh:
            mesh.add(LlmAgent("tutor", model))
            for stream in (False, True):
                try:
                    if stream:
                        assert [part async for part in mesh.stream("tutor", "count")]
                    else:
                        assert await mesh.ask("tutor", "count")
                except CeylonError as error:
                    root = error.root if isinstance(error, HandlerError) else error
                    assert isinstance(root, ModelError)
                    raised[type(root).__name__] += 1

    for seed in range(30):
        outcome = run_simulation(run, seed=seed, faults=only("model"))

        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"

    assert set(raised) == {"ModelUnavailableError", "ModelTimeoutError", "IncompleteStreamError"}


def test_faults_stop_when_a_test_says_so_and_a_mesh_must_then_come_to_rest() -> None:
    class Restless(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            await anyio.sleep(100)

    async def stop(simulation: Simulation) -> None:
        simulation.stop_faults()
        await bearing(simulation)

    async def never_rest(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Restless("restless"))
            await mesh.tell("restless", "x")

    stopped = run_simulation(stop, seed=1, faults=Faults(crash=1.0, delay=1.0))
    restless = run_simulation(never_rest, seed=1)

    assert faults_in(stopped) == []
    assert "did not come to rest within 60 s" in restless.violations[0]


def test_without_faults_nothing_goes_wrong() -> None:
    for seed in range(20):
        assert faults_in(run_simulation(run_shops, seed=seed)) == []
