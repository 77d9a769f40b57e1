"""Where an `LlmAgent` lives: a mesh, an address, and a session with its model there.

An agent that no mesh has takes a seat in the default mesh, under a private address. There the mesh holds it weakly:
when the user's last reference is gone, the agent leaves.
"""

import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ceylon.agents.agent import Agent
from ceylon.core.default import default_mesh
from ceylon.core.signals import Signal

if TYPE_CHECKING:
    from ceylon.agents.sessions import Sessions
    from ceylon.core.interior import Interior
    from ceylon.models.port import Model, Session

__all__ = ["Seat", "take_guest_seat"]

_numbers: Final = itertools.count(1)


class Seat:
    """One agent's place in one mesh; the session is opened by the first turn that needs it."""

    def __init__(self, interior: "Interior", address: str) -> None:
        self.interior = interior
        self.address = address
        self.finalizer: weakref.finalize[..., Any] | None = None  # of a guest in the default mesh
        self._model: Model | None = None
        self._session: Session | None = None
        self._opening: Signal | None = None

    async def session(self, model: "Model") -> "Session":
        """Return the session with *model*, opened now if it is not; on the mesh's loop."""
        while self._opening is not None:
            await self._opening.wait()
        if self._session is None or self._model is not model:
            self._opening = signal = Signal(self.interior.driver)
            try:
                await self.close()
                self._session, self._model = await (await self._sessions()).open(model), model
            finally:
                self._opening = None
                signal.set()
        return self._session

    async def close(self) -> None:
        """Give the session back."""
        session, self._session = self._session, None
        if session is not None:
            await (await self._sessions()).part(session)

    async def _sessions(self) -> "Sessions":
        from ceylon.agents.sessions import close_sessions, open_sessions  # noqa: PLC0415 – brings httpx in

        found: Sessions = await self.interior.resources.get("models", open_sessions, close_sessions)
        return found


# -- guests of the default mesh ----------------------------------------------------------------------------------------


def take_guest_seat(agent: Agent, seat_of: Callable[[], Seat]) -> None:
    """Add *agent* to the default mesh; it may come from any thread."""
    interior = default_mesh().interior
    address = f"{agent.name}${next(_numbers)}"
    interior.add(weakref.proxy(agent), address)
    seat = seat_of()
    seat.finalizer = weakref.finalize(agent, _leave, seat)
    seat.finalizer.atexit = False  # the mesh itself is drained then


def _leave(seat: Seat) -> None:
    """Let the agent behind *seat*, which nobody holds any more, leave; garbage is being collected, so nothing waits."""
    interior = seat.interior

    def stop() -> None:
        cell = interior.router.cells.get(seat.address)
        if cell is not None:
            cell.agent = Departed(seat)
            interior.stop_agent(seat.address, _Nobody())

    interior.gateway.post_quietly(stop)


class _Nobody:
    """Takes a result that nobody waits for."""

    def done(self) -> bool:
        return False

    def set_result(self, result: Any, /) -> None:
        """Forget *result*."""


class Departed(Agent):
    """Stands for an agent that is gone while the mesh takes it out: it gives back the session, and that is all."""

    def __init__(self, seat: Seat) -> None:
        super().__init__("departed")
        self._seat = seat

    async def vacate(self) -> None:
        """See `AgentLike`."""
        await self._seat.close()
