"""Run a test under one seed: seeded order, virtual time, faults, and the checks at the end."""

import contextlib
import gc
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec

from ceylon.agents.setup import load_adapters
from ceylon.core.backend import current_driver
from ceylon.core.clock import Clock, run_simulated
from ceylon.core.instruments import instruments
from ceylon.core.ledger import type_name_of
from ceylon.testing.checkers import asks_resolved, conservation, fifo, one_at_a_time
from ceylon.testing.history import History
from ceylon.testing.patience import nothing_in_vain, room_given
from ceylon.testing.recorder import Recorder
from ceylon.testing.simulation.choices import NO_CUTS, Choices, Cuts
from ceylon.testing.simulation.faults import NO_FAULTS, FaultPlan, Faults
from ceylon.testing.simulation.parts import simulation_instruments
from ceylon.testing.simulation.simulation import Simulation, is_simulated

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["Check", "SimulationOutcome", "run_simulation"]

Check = Callable[[History], list[str]]
"""Reads a history and returns what is wrong with it, a sentence each."""

_LEAVE_WITHIN: Final = 10.0
"""Virtual seconds that a closed mesh's tasks have to end: twice what a cancelled handler is given."""
_LIMIT: Final = 86_400.0
"""Virtual seconds a test may take: a day."""


class SimulationOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one seed ended: `error` is `None`, or what the test raised, or an `AssertionError` with the `violations`."""

    seed: int
    history: History
    error: BaseException | None
    violations: list[str]
    virtual_seconds: float
    faults: list[str]
    choices: int
    slots: dict[str, int]
    activities: list[str]
    repetitions: int


def run_simulation(
    function: Callable[[Simulation], Awaitable[Any]],
    *,
    seed: int,
    faults: Faults | None = None,
    backend: str = "asyncio",
    checks: Sequence[Check] = (),
    cuts: Cuts = NO_CUTS,
) -> SimulationOutcome:
    """Run ``await function(simulation)`` under *seed* and return how it went; nothing is raised.

    Args:
        function: The test.
        seed: Decides everything that is open; the same one gives the same history, byte for byte.
        faults: What may go wrong; `None` for nothing.
        backend: ``"asyncio"`` or ``"trio"``.
        checks: Read the history at the end, beside the checkers that always do.
        cuts: What is left out of what the seed decides.
    """
    load_adapters()  # or the first language model of a process would hold the clock while they are imported
    run = _Run(function, seed, NO_FAULTS if faults is None else faults, cuts)
    with _without_garbage_collection():
        run.go(backend)
    return run.outcome(checks)


class _Run:
    """One run, while it lasts."""

    def __init__(
        self,
        function: Callable[[Simulation], Awaitable[Any]],
        seed: int,
        faults: Faults,
        cuts: Cuts,
    ) -> None:
        self._function = function
        self._seed = seed
        self._choices = Choices(seed, f"schedule {cuts.schedule}" if cuts.schedule else "schedule", cuts.decisions)
        self._cuts = cuts
        self._simulation: Simulation | None = None
        self._plan = FaultPlan(faults, seed)
        self._recorder = Recorder(History())
        self._error: BaseException | None = None
        self._violations: list[str] = []
        self._seconds = 0.0
        self._waiting: list[str] = []
        self._last = 0.0

    def go(self, backend: str) -> None:
        """Run the test to its end, whatever that is."""
        hold_back = (0.0, 0.0, 0.2, 0.5)[self._choices.below(4)]
        try:
            run_simulated(self._main, backend, self._choices, seed=self._seed, hold_back=hold_back)
        except Exception as error:  # noqa: BLE001 – the outcome says it
            self._error = self._error or error

    async def _main(self, clock: Clock) -> None:
        driver = current_driver()
        parts = simulation_instruments(self._recorder, instruments.get(), self._choices, self._plan, clock)
        instruments.set(parts)
        is_simulated.set(True)
        simulation = Simulation(self._seed, self._recorder, self._plan, driver, self._cuts)
        self._simulation = simulation
        scope = anyio.CancelScope()
        began = driver.now()

        def give_up() -> None:
            self._waiting = [*self._open(), *clock.waiting()]
            self._last = self._recorder.history.events[-1].at if len(self._recorder.history) else 0.0
            scope.cancel()

        take_back = driver.call_at(began + _LIMIT, give_up)
        try:
            with scope:
                await self._function(simulation)
        except (KeyboardInterrupt, SystemExit, driver.cancellation):
            raise
        except BaseException as error:  # noqa: BLE001 – the outcome says it; pytest's own failures are no `Exception`
            self._error = error
        finally:
            take_back()
            self._seconds = driver.now() - began
        if scope.cancelled_caught:
            self._error = AssertionError(self._why_stuck())
        self._violations += simulation.violations
        has_closed_some = self._close_meshes()
        await anyio.sleep(_LEAVE_WITHIN)  # whoever was told that it is over has time to hear of it
        if not has_closed_some:  # else their tasks are left behind too
            self._violations += [f"left behind: {task}" for task in clock.waiting() if task.startswith("task 'ceylon")]
        self._violations += clock.complaints()

    def _why_stuck(self) -> str:
        waits = "\n  ".join(self._waiting) or "nothing that is known here"
        if self._seconds - self._last > _LIMIT / 2:
            return f"nothing can ever happen again; after {self._last:g} virtual seconds these wait:\n  {waits}"
        return f"the test did not end within {_LIMIT:g} virtual seconds; these wait:\n  {waits}"

    def _open(self) -> list[str]:
        """Describe who waits for whom, and the messages that have not ended."""
        waiting = [str(wait) for interior in self._recorder.interiors for wait in interior.inspector.waits()]
        for record in self._recorder.records:
            waiting += [f"#{each.id} ({type_name_of(each.message)}) with {each.recipient!r}" for each in record.open()]
        return waiting

    def _close_meshes(self) -> bool:
        """Close what the test has left open, and say whether there was any."""
        left = [interior for interior in self._recorder.interiors if interior.is_open]
        for interior in left:
            if self._error is None:
                self._violations.append(f"mesh {interior.name!r} was left open")
            interior.close("the simulation is over")
        self._violations += [words for interior in self._recorder.interiors for words in _unlawful(interior)]
        return bool(left)

    def outcome(self, checks: Sequence[Check]) -> SimulationOutcome:
        """Return how it went."""
        history = self._recorder.history
        violations = [*self._violations, *conservation(history), *fifo(history, self._recorder.slots)]
        violations += [*one_at_a_time(history, self._recorder.slots), *asks_resolved(history)]
        violations += [*nothing_in_vain(history), *room_given(history)]
        violations += [words for check in checks for words in check(history)]
        error = self._error
        if error is None and violations:
            error = AssertionError("\n".join(violations))
        return SimulationOutcome(
            seed=self._seed,
            history=history,
            error=error,
            violations=violations,
            virtual_seconds=self._seconds,
            faults=self._plan.kinds,
            choices=self._choices.made,
            slots=self._recorder.slots,
            activities=self._simulation.activities if self._simulation is not None else [],
            repetitions=self._simulation.repetitions if self._simulation is not None else 0,
        )


def _unlawful(interior: "Interior") -> list[str]:
    """Return what a mesh that has ended still owes."""
    statistics = interior.statistics()
    said: list[str] = []
    for agent in (*statistics.agents.values(), statistics.stopped_agents):
        if not agent.is_balanced:
            said.append(f"the law is broken in mesh {interior.name!r}: {agent}")
        elif agent.pending:
            said.append(f"{agent.pending} messages of {agent.address!r} are pending after the end of {interior.name!r}")
    said += [
        f"#{each.id} ({type_name_of(each.message)}, to {each.recipient!r}) never ended"
        for each in interior.router.open.values()
    ]
    if statistics.pending_asks:
        said.append(f"{statistics.pending_asks} asks in mesh {interior.name!r} never ended")
    return said


@contextlib.contextmanager
def _without_garbage_collection() -> Generator[None]:
    """Let no finalizer run at a moment that depends on what the process did before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
