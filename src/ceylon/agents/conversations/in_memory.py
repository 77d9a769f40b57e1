"""Conversations in this process: what an agent has unless it is given another store."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from ceylon.agents.conversations.port import ConversationStore, check_stored_key
from ceylon.agents.conversations.window import last_turns
from ceylon.models.turns import Turn
from ceylon.settings import DEFAULTS, Settings

__all__ = ["InMemoryConversations"]


class InMemoryConversations(ConversationStore):
    """Keeps the last turns of the conversations used last; the least recently used ones go first."""

    def __init__(self, settings: Settings = DEFAULTS) -> None:
        self.settings = settings
        self._kept: OrderedDict[str, tuple[Turn, ...]] = OrderedDict()
        self._lock = threading.Lock()  # meshes of several threads may share it; nobody waits for anything with it

    def __repr__(self) -> str:
        return f"<InMemoryConversations {len(self._kept)} conversations>"

    async def load(self, key: str) -> tuple[Turn, ...]:
        """See `ConversationStore`."""
        check_stored_key(key)
        with self._lock:
            if key not in self._kept:
                return ()
            self._kept.move_to_end(key)
            return self._kept[key]

    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        check_stored_key(key)
        with self._lock:
            self._keep(key, (*self._kept.get(key, ()), *turns))

    async def replace(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        check_stored_key(key)
        with self._lock:
            self._keep(key, tuple(turns))

    async def drop(self, key: str) -> None:
        """See `ConversationStore`."""
        with self._lock:
            self._kept.pop(key, None)

    async def keys(self) -> tuple[str, ...]:
        """See `ConversationStore`."""
        with self._lock:
            return tuple(reversed(self._kept))

    def _keep(self, key: str, turns: tuple[Turn, ...]) -> None:
        if not turns:
            self._kept.pop(key, None)
            return
        self._kept[key] = last_turns(turns, self.settings.conversation_turns)
        self._kept.move_to_end(key)
        while len(self._kept) > self.settings.conversations:
            self._kept.popitem(last=False)
