"""Conversations in this process: what an agent has unless it is given another store."""

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

    def __repr__(self) -> str:
        return f"<InMemoryConversations {len(self._kept)} conversations>"

    async def load(self, key: str) -> tuple[Turn, ...]:
        """See `ConversationStore`."""
        if check_stored_key(key) not in self._kept:
            return ()
        self._kept.move_to_end(key)
        return self._kept[key]

    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        self._keep(check_stored_key(key), (*self._kept.get(key, ()), *turns))

    async def replace(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        self._keep(check_stored_key(key), tuple(turns))

    async def drop(self, key: str) -> None:
        """See `ConversationStore`."""
        self._kept.pop(key, None)

    async def keys(self) -> tuple[str, ...]:
        """See `ConversationStore`."""
        return tuple(reversed(self._kept))

    def _keep(self, key: str, turns: tuple[Turn, ...]) -> None:
        if not turns:
            self._kept.pop(key, None)
            return
        self._kept[key] = last_turns(turns, self.settings.conversation_turns)
        self._kept.move_to_end(key)
        while len(self._kept) > self.settings.conversations:
            self._kept.popitem(last=False)
