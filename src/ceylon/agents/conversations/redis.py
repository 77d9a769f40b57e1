"""Conversations on a Redis server: many processes and machines share them."""

from collections.abc import Sequence
from typing import Any

from ceylon.agents.conversations.port import ConversationStore, check_stored_key, decode_turn, encode_turn
from ceylon.agents.conversations.window import last_turns
from ceylon.errors import StoreError
from ceylon.memory.redis_server import Client, RedisServer
from ceylon.models.turns import Turn
from ceylon.settings import DEFAULTS, Settings

__all__ = ["RedisConversations"]


class RedisConversations(ConversationStore):
    """Keeps each conversation as a list of turns, under keys that begin with *prefix*.

    Args:
        url: The server, like ``redis://127.0.0.1:6379/0``.
        prefix: What its keys begin with; two stores of one prefix are one.
        settings: The limits.
    """

    def __init__(
        self, url: str = "redis://127.0.0.1:6379/0", *, prefix: str = "ceylon", settings: Settings = DEFAULTS
    ) -> None:
        self._server = RedisServer(url)
        self._settings = settings
        self._prefix = f"{prefix}:conversation"
        self._used, self._counter = f"{self._prefix}s:used", f"{self._prefix}s:number"

    def __repr__(self) -> str:
        return f"<RedisConversations {self._server.address!r} {self._prefix!r}>"

    async def load(self, key: str) -> tuple[Turn, ...]:
        """See `ConversationStore`."""
        place = self._place(key)

        def load(client: Client) -> Any:
            with client.pipeline() as pipe:
                pipe.incr(self._counter)
                pipe.lrange(place, 0, -1)
                number, turns = pipe.execute()
            if turns:
                client.zadd(self._used, {key: number}, xx=True)
            return turns

        return tuple(map(decode_turn, await self._server.run(load)))

    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        if turns:
            await self._change(key, turns, is_new=False)

    async def replace(self, key: str, turns: Sequence[Turn]) -> None:
        """See `ConversationStore`."""
        if not turns:
            await self.drop(key)
            return
        await self._change(key, turns, is_new=True)

    async def drop(self, key: str) -> None:
        """See `ConversationStore`."""
        place = self._place(key)

        def drop(client: Client) -> None:
            with client.pipeline() as pipe:
                pipe.delete(place)
                pipe.zrem(self._used, key)
                pipe.execute()

        await self._server.run(drop)

    async def keys(self) -> tuple[str, ...]:
        """See `ConversationStore`."""
        found = await self._server.run(lambda client: client.zrevrange(self._used, 0, -1))
        return tuple(map(_as_text, found))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._server.aclose()

    def _place(self, key: str) -> str:
        return f"{self._prefix}:{check_stored_key(key).encode().hex()}"

    async def _change(self, key: str, turns: Sequence[Turn], *, is_new: bool) -> None:
        place = self._place(key)
        added = [encode_turn(turn) for turn in turns]

        def change(pipe: Client) -> None:
            kept: list[bytes] = [] if is_new else pipe.lrange(place, 0, -1)
            whole = [*kept, *added]
            is_long = len(whole) > self._settings.conversation_turns
            if is_long:
                last = last_turns([decode_turn(turn) for turn in whole], self._settings.conversation_turns)
                whole = [encode_turn(turn) for turn in last]
            number = pipe.incr(self._counter)
            pipe.multi()
            if is_new or is_long:
                pipe.delete(place)
            pipe.rpush(place, *(whole if is_new or is_long else added))
            pipe.zadd(self._used, {key: number})

        def work(client: Client) -> None:
            client.transaction(change, place)
            surplus = client.zcard(self._used)
            gone = client.zpopmin(self._used, max(0, surplus - self._settings.conversations))
            if gone:
                client.delete(*(self._place(_as_text(key)) for key, _ in gone))

        await self._server.run(work)


def _as_text(key: bytes) -> str:
    """Return the key of a conversation as it was given.

    Raises:
        StoreError: somebody else has put it there.
    """
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        sentence = f"{key!r} is no key of a conversation"
        raise StoreError(sentence) from error
