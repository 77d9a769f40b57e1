"""A model that fails when a simulation says so."""

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

import anyio.lowlevel

from ceylon.errors import IncompleteStreamError, ModelError, ModelTimeoutError, ModelUnavailableError
from ceylon.models.stand_ins import is_real
from ceylon.models.turns import Part, Reply, Request, TextPart

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient
    from ceylon.models.port import Abilities, Model, Session
    from ceylon.testing.simulation.faults import FaultPlan

__all__ = ["FaultyModel"]

_TIMEOUT = 600.0


class FaultyModel:
    """Passes everything on to *model*, except when it cannot be reached, takes too long, or breaks off."""

    def __init__(self, model: "Model", plan: "FaultPlan", note: Callable[[str], object]) -> None:
        self._model, self._plan, self._note = model, plan, note

    @property
    def is_real(self) -> bool:
        """Whether the model inside is."""
        return is_real(self._model)

    @property
    def name(self) -> str:
        """What the model inside is called."""
        return self._model.name

    def check(self) -> None:
        """Let the model inside check itself."""
        self._model.check()

    async def open(self, client: "HttpClient") -> "Session":
        """Return a session that fails now and then."""
        return _FaultySession(await self._model.open(client), self)

    def fault(self) -> ModelError | None:
        """Return what goes wrong with a request, if anything does."""
        if not self._plan.strikes("model"):
            return None
        errors = (
            ModelUnavailableError(self.name, "a simulated server", "`Faults(model=0)` leaves models alone."),
            ModelTimeoutError(self.name, _TIMEOUT),
            IncompleteStreamError(self.name, ""),
        )
        error = errors[self._plan.below(len(errors))]
        self._note(f"model: {type(error).__name__}")
        return error

    def cut(self) -> int:
        """Return after how many parts a stream breaks off."""
        return self._plan.below(4)


class _FaultySession:
    def __init__(self, session: "Session", model: FaultyModel) -> None:
        self._session, self._model = session, model

    @property
    def abilities(self) -> "Abilities":
        """Those of the session inside."""
        return self._session.abilities

    async def complete(self, request: Request) -> Reply:
        """Return the answer, or fail."""
        await anyio.lowlevel.checkpoint()
        if (error := self._model.fault()) is not None:
            raise error
        return await self._session.complete(request)

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer, or a part of it, or fail."""
        await anyio.lowlevel.checkpoint()
        error = self._model.fault()
        if error is not None and not isinstance(error, IncompleteStreamError):
            raise error
        left = self._model.cut() if error is not None else -1
        text = ""
        async for part in self._session.stream(request):
            if not left:
                raise IncompleteStreamError(self._model.name, text)
            left -= 1
            text += part.text if isinstance(part, TextPart) else ""
            yield part
        if error is not None:
            raise IncompleteStreamError(self._model.name, text)

    async def aclose(self) -> None:
        """Close the session inside."""
        await self._session.aclose()
