"""What the tests of language-model agents share: agents that speak with a test's own server, and models that count."""

from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import msgspec

from ceylon import LlmAgent, Reply
from ceylon.models.http import HttpClient
from ceylon.models.port import Abilities, Session
from ceylon.models.scripted import ScriptedModel
from ceylon.models.turns import Part, Request
from ceylon.settings import DEFAULTS, Settings
from ceylon.testing.model_server import ModelServer

__all__ = ["CountingModel", "impatient", "llm", "llm_of", "plays"]

A = TypeVar("A", bound=LlmAgent)


def llm(server: ModelServer, name: str = "tutor", **options: Any) -> LlmAgent:
    """Return an agent whose model is *server*."""
    return llm_of(LlmAgent, server, name, **options)


def llm_of(kind: type[A], server: ModelServer, name: str = "tutor", **options: Any) -> A:
    """Return an agent of *kind* whose model is *server*."""
    return kind(name, "openai::test-model", base_url=server.openai_url, api_key="sk-none", **options)


def plays(*answers: Any, name: str = "tutor", **options: Any) -> LlmAgent:
    """Return an agent whose model gives *answers*, in order."""
    return LlmAgent(name, ScriptedModel(answers), **options)


def impatient(**changes: Any) -> Settings:
    """Return settings whose pauses before another try take no time, with *changes*."""
    return msgspec.structs.replace(DEFAULTS, **{"retry_first_pause": 0.0, **changes})


class CountingModel(ScriptedModel):
    """A scripted model that counts its sessions."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(answers)
        self.opened = self.closed = 0

    async def open(self, client: "HttpClient | None" = None) -> Any:
        """Return a session, and count it."""
        self.opened += 1
        return _CountedSession(self, await super().open(client))


class _CountedSession:
    def __init__(self, model: CountingModel, session: Session) -> None:
        self._model, self._session = model, session

    @property
    def abilities(self) -> Abilities:
        return self._session.abilities

    async def complete(self, request: Request) -> Reply:
        return await self._session.complete(request)

    def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        return self._session.stream(request)

    async def aclose(self) -> None:
        self._model.closed += 1
        await self._session.aclose()
