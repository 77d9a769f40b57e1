"""What a test under simulation is given."""

import contextlib
import contextvars
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import msgspec

from ceylon.core.mesh import Mesh
from ceylon.settings import DEFAULTS, Settings
from ceylon.testing.history import What
from ceylon.testing.rest import busy_threads, is_at_rest, unrest
from ceylon.testing.simulation.choices import NO_CUTS, Cuts
from ceylon.testing.simulation.models import FaultyModel

if TYPE_CHECKING:
    from ceylon.core.backend import Driver
    from ceylon.models.port import Model
    from ceylon.testing.history import History
    from ceylon.testing.recorder import Recorder
    from ceylon.testing.simulation.faults import FaultPlan

__all__ = ["Simulation", "is_simulated"]

is_simulated: contextvars.ContextVar[bool] = contextvars.ContextVar("ceylon_is_simulated", default=False)
"""Whether the code that runs here is a simulated test."""

F = TypeVar("F", bound=Callable[..., Any])

_QUIET_WITHIN: Final = 60.0
"""Virtual seconds in which a mesh must come to rest once nothing goes wrong any more: twice an ask's default."""
_THREADS_REPORT: Final = 1.0  # seconds, real ones while a thread runs beside the loop
_FAULTS_GO_ON: Final = 10.0
"""Virtual seconds that things go wrong after a test's own end, for what the test has left under way."""
_HANDLER_TIMEOUT: Final = 300.0
"""Virtual seconds a handler may take: a handler that hangs is to end the run, not the day."""
_STEPS: Final = 5
"""Steps of the loop in which what follows a last handler's end has happened: a thread's report, a reply's way."""


class Simulation:
    """One seed's run, as its test sees it.

    Attributes:
        seed: The seed.
        random: Randomness for the test itself, decided by the seed.
        history: What has happened so far.
        slots: How many messages each agent may handle at one time, by its address in the history.
        activities: The names of what `some_of` has chosen.
        repetitions: The most that `times` has returned.
    """

    def __init__(
        self, seed: int, recorder: "Recorder", plan: "FaultPlan", driver: "Driver", cuts: Cuts = NO_CUTS
    ) -> None:
        self.seed = seed
        self.random = random.Random(f"{seed} test")  # noqa: S311 – repeatable is the point
        self.history: History = recorder.history
        self.slots = recorder.slots
        self.violations = recorder.violations
        self._recorder = recorder
        self._plan = plan
        self._driver = driver
        self._cuts = cuts
        self.activities: list[str] = []
        self.repetitions = 0

    def some_of(self, activities: Sequence[F], most: int) -> list[F]:
        """Choose up to *most* of these functions, as the seed decides: what a program does under this seed.

        A run that fails is tried again without each of them, so that what is shown is about one thing if it can be.
        """
        chance = random.Random(f"{self.seed} activities")  # noqa: S311 – repeatable is the point
        chosen = chance.sample(activities, chance.randint(1, min(most, len(activities))))
        kept = [each for each in chosen if each.__name__ not in self._cuts.without]
        self.activities += [each.__name__ for each in kept]
        return kept

    def times(self, most: int) -> int:
        """Return how often to do something: *most*; a run that fails is tried again with less."""
        times = most if self._cuts.repetitions is None else min(most, self._cuts.repetitions)
        self.repetitions = max(self.repetitions, times)
        return times

    @contextlib.asynccontextmanager
    async def mesh(self, name: str = "mesh", *, settings: Settings = DEFAULTS, **options: Any) -> AsyncGenerator[Mesh]:
        """Open a mesh that must come to rest within 60 virtual seconds after the block, when faults have stopped.

        Without other *settings*, half of the seeds give handlers 300 virtual seconds: with and without a limit they
        take different roads through the mesh.
        """
        if settings is DEFAULTS and self.seed % 2:
            settings = msgspec.structs.replace(settings, handler_timeout=_HANDLER_TIMEOUT)
        async with Mesh(name, settings=settings, **options) as mesh:
            yield mesh
            await self._come_to_rest(mesh)

    async def _come_to_rest(self, mesh: Mesh) -> None:
        """Let what is under way end: for a while with faults, then without."""
        if not mesh.is_open:
            return
        with anyio.move_on_after(_FAULTS_GO_ON):
            await mesh.drain()
        self.stop_faults()
        with anyio.move_on_after(_QUIET_WITHIN) as scope:
            await mesh.drain()
        if scope.cancelled_caught:
            left = {name: agent.pending for name, agent in mesh.statistics().agents.items() if agent.pending}
            self.violations.append(
                f"mesh {mesh.name!r} did not come to rest within {_QUIET_WITHIN:g} s after the faults had stopped; "
                f"pending: {left}"
            )
            return
        for _ in range(_STEPS):
            await self._driver.checkpoint()
        interior = mesh.interior
        with anyio.move_on_after(_THREADS_REPORT):  # one that is out of step says its result before its own end
            while busy_threads(interior):  # noqa: ASYNC110 – nothing tells
                await anyio.sleep(_THREADS_REPORT / 1000)
        if interior.is_open and is_at_rest(interior):
            self.violations += unrest(interior)

    def model(self, model: "Model") -> "Model":
        """Return *model* with the simulation's faults: it cannot be reached, takes too long, or breaks off."""
        return FaultyModel(model, self._plan, lambda words: self._add(What.FAULT, words))

    def note(self, words: str) -> None:
        """Write *words* into the history."""
        self._add(What.NOTE, words)

    def stop_faults(self) -> None:
        """Let nothing go wrong from here on."""
        self._plan.stop()

    def _add(self, what: What, words: str) -> None:
        self._recorder.add(self._driver, what, detail=words)
