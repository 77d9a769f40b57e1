"""Where an `LlmAgent` lives: a mesh, an address, so many slots, and a session with its model."""

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from ceylon.core.signals import Signal

if TYPE_CHECKING:
    from ceylon.agents.guest import Guest
    from ceylon.agents.sessions import Sessions
    from ceylon.core.interior import Interior
    from ceylon.models.port import Model, Session

__all__ = ["Seat"]


class Seat:
    """One agent's place in one mesh; the session is opened by the first turn that needs it."""

    def __init__(self, interior: "Interior", address: str, slots: int) -> None:
        self.interior = interior
        self.address = address
        self.guest: Guest | None = None  # what stands for the agent, in the default mesh
        self._slots = slots
        self._wider: list[int] = []  # what batches under way want
        self._model: Model | None = None
        self._session: Session | None = None
        self._opening: Signal | None = None

    # -- the session ---------------------------------------------------------------------------------------------------

    async def session(self, model: "Model") -> "Session":
        """Return the session with *model*, opened now if it is not; on the mesh's loop."""
        while self._opening is not None:
            await self._opening.wait()
        if self._session is None or self._model is not model:
            self._opening = signal = Signal(self.interior.driver)
            try:
                await self.close()
                self._session, self._model = await (await self.sessions()).open(model), model
            finally:
                self._opening = None
                signal.set()
        return self._session

    def session_at_hand(self, model: "Model") -> "Session | None":
        """Return the session with *model*, if it is open."""
        return self._session if self._model is model and self._opening is None else None

    async def close(self) -> None:
        """Give the session back."""
        session, self._session = self._session, None
        if session is not None:
            await (await self.sessions()).part(session)

    async def sessions(self) -> "Sessions":
        """Return the sessions of the mesh; on its loop."""
        from ceylon.agents.sessions import close_sessions, opener_for  # noqa: PLC0415 – brings httpx in

        opener = opener_for(self.interior)
        found: Sessions = await self.interior.resources.get("models", opener, close_sessions)
        return found

    # -- slots ---------------------------------------------------------------------------------------------------------

    def resize(self, slots: int) -> None:
        """Give the agent so many slots from now on; on the mesh's loop, or before that runs."""
        self._slots = slots
        self._apply()

    @contextlib.contextmanager
    def widened(self, slots: int) -> Generator[None]:
        """Give the agent *slots* slots for a while, if it has fewer; on the mesh's loop."""
        self._wider.append(slots)
        self._apply()
        try:
            yield
        finally:
            self._wider.remove(slots)
            self._apply()

    def _apply(self) -> None:
        self.interior.resize(self.address, max(self._slots, *self._wider, 1))
