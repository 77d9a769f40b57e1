"""Agents for the tests of `ceylon.compat`, and a model that says what it was asked."""

import threading
from typing import Any

from ceylon.compat import Agent, LlmAgent
from ceylon.models.turns import Request
from ceylon.testing import ScriptedModel

__all__ = ["Echo", "SlowEcho", "echoing_llm", "retold"]


class Echo(Agent):
    """Says what it hears, and keeps it."""

    def __init__(self, name: str = "echo") -> None:
        super().__init__(name)
        self.heard: list[Any] = []
        self.contexts: list[Any] = []

    def on_message(self, message: Any, context: Any = None) -> Any:
        self.heard.append(message)
        self.contexts.append(context)
        return f"echo: {message}"


class SlowEcho(Echo):
    """Waits to be let go before it answers."""

    def __init__(self, name: str = "slow") -> None:
        super().__init__(name)
        self.go = threading.Event()

    def on_message(self, message: Any, context: Any = None) -> Any:
        assert self.go.wait(60)
        return super().on_message(message, context)


def retold(request: Request) -> str:
    """Answer with how many turns the model was shown, and the last of them."""
    return f"{len(request.turns)}: {request.turns[-1].text}"


def echoing_llm(name: str = "llm", *, answers: int = 20) -> LlmAgent:
    """Return a built agent whose model retells up to so many questions."""
    return LlmAgent(name, ScriptedModel([retold] * answers)).build()
