"""What is wrong in `ceylonai-next`, made again on purpose: with each of these a check of `ceylon.compat` turns red."""

import asyncio
import contextlib
from typing import Any

import anyio

from ceylon.compat import Agent, LlmAgent, LocalMesh
from ceylon.compat.callers import Talk, Talks
from ceylon.compat.seats import Received, Text

__all__ = [
    "Crowd",
    "DeafToErrors",
    "LoopForEachMessage",
    "Mute",
    "OneForAll",
    "Polled",
    "Reminding",
    "WithoutRecipients",
]


class Mute(Agent):
    """Throws the handler's return value away."""

    def __ceylon_receiver__(self, mesh: str) -> Received:
        def receive(said: Text) -> None:
            self.on_message(said.payload, None)

        return Received(receive, is_async=False)


class LoopForEachMessage(Agent):
    """Makes an event loop for each message."""

    def __ceylon_receiver__(self, mesh: str) -> Received:
        return Received(lambda said: asyncio.run(self.on_message(said.payload, None)), is_async=False)


class DeafToErrors(Agent):
    """Lets the errors of async handlers vanish."""

    def __ceylon_receiver__(self, mesh: str) -> Received:
        async def receive(said: Text) -> Any:
            with contextlib.suppress(Exception):
                return await self.on_message(said.payload, None)

        return Received(receive, is_async=True)


class Polled(LocalMesh):
    """Handles messages only when asked to, and forgets those behind one that fails."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._agents: dict[str, Any] = {}
        self._queue: list[tuple[str, str]] = []

    def add_agent(self, agent: Any) -> Any:
        self._agents[agent.name()] = agent
        return super().add_agent(agent)

    def send_to(self, target: str, payload: str) -> Any:
        self._queue.append((target, payload))

    def process_messages(self) -> int:
        waiting, self._queue = self._queue, []
        for target, payload in waiting:
            self._agents[target].on_message(payload, None)
        return len(waiting)


class WithoutRecipients(LocalMesh):
    """Says that it has sent what nobody gets."""

    def send_to(self, target: str, payload: str) -> Any:
        with contextlib.suppress(RuntimeError):
            return super().send_to(target, payload)


class Reminding(LocalMesh):
    """Sends reminders to whoever is slow, a model too."""

    def send_reminders(self, older_than_secs: float = 30.0) -> list[str]:
        for pending in self.get_pending():
            self.send_to(pending.target, f"REMINDER: Please complete request {pending.id}")
        return super().send_reminders(older_than_secs)


class OneForAll(LlmAgent):
    """Has one conversation, which all callers share and wait for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ceylon_talks = _OneTalk()


class _OneTalk(Talks):
    def begin(self, who: str) -> Talk:
        return Talk(set(), "everybody")


class Crowd:
    """A gate for answers: it opens when so many wait before it, or after a while."""

    def __init__(self, size: int, patience: float) -> None:
        self._size, self._patience = size, patience
        self._waiting = self.most = 0
        self._all_there: anyio.Event | None = None

    async def __call__(self) -> None:
        self._all_there = self._all_there or anyio.Event()
        self._waiting += 1
        self.most = max(self.most, self._waiting)
        if self._waiting == self._size:
            self._all_there.set()
        with anyio.move_on_after(self._patience):
            await self._all_there.wait()
        self._waiting -= 1
