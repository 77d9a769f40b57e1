"""A memory on a Redis server: many processes and machines share it.

A plain server has no search, so a search fetches a namespace and ranks it here; what a namespace may hold is bounded.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from ceylon.errors import StoreUnavailableError
from ceylon.memory.entries import Entry, Note, Query, Recalled, Where
from ceylon.memory.filters import meets
from ceylon.memory.port import Memory
from ceylon.memory.ranking import rank
from ceylon.memory.redis_server import Client, RedisServer
from ceylon.memory.rules import Prepared, Rules
from ceylon.memory.sources import time_of_day
from ceylon.memory.words import WordIndex, wanted_words
from ceylon.settings import DEFAULTS, Settings

__all__ = ["RedisMemory"]


class _Kept(msgspec.Struct, array_like=True):
    """An entry as it lies on the server: MessagePack; `number` tells which of two is newer."""

    number: int
    entry: Entry
    vector: bytes | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode


class RedisMemory(Memory):
    """Keeps entries on a Redis server, under keys that begin with *prefix*.

    Args:
        url: The server, like ``redis://127.0.0.1:6379/0``.
        prefix: What its keys begin with; two memories of one prefix are one.
        settings: The limits.
        now: The time in seconds since 1970; of all processes that share it.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        *,
        prefix: str = "ceylon",
        settings: Settings = DEFAULTS,
        now: Callable[[], float] = time_of_day,
    ) -> None:
        self._rules = Rules(settings, now)
        self._server = RedisServer(url)
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"<RedisMemory {self._server.address!r} {self._prefix!r}>"

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        """See `Memory`."""
        made = self._rules.prepared(self._rules.namespace(namespace), notes)
        if made:
            shelf = self._shelf(namespace)
            await self._server.run(lambda client: shelf.put(client, made))
        return tuple(entry for entry, _ in made)

    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        """See `Memory`."""
        query, shelf = self._rules.query(query), self._shelf(namespace)
        words = wanted_words(query.text, self._rules.settings.memory_words)

        def answer(client: Client) -> tuple[Recalled, ...]:
            kept = shelf.meeting(client, query.where)
            vectors = {each.entry.id: each.vector for each in kept if each.vector is not None}
            index = WordIndex()
            for each in kept:
                index.add(each.entry.id, each.entry.text)
            return rank(query, [each.entry for each in kept], vectors, index.search(words))

        return await self._server.run(answer)

    async def forget(self, namespace: str, *ids: str) -> int:
        """See `Memory`."""
        shelf = self._shelf(namespace)
        self._rules.ids(ids)
        return await self._server.run(lambda client: shelf.drop(client, ids)) if ids else 0

    async def get(self, namespace: str, *ids: str) -> tuple[Entry, ...]:
        """See `Memory`."""
        shelf = self._shelf(namespace)
        self._rules.ids(ids)
        kept = await self._server.run(lambda client: shelf.get(client, ids)) if ids else []
        return tuple(each.entry for each in kept)

    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        """See `Memory`."""
        limit = self._rules.listed(limit)
        shelf, conditions = self._shelf(namespace), self._rules.where(where)
        kept = await self._server.run(lambda client: shelf.meeting(client, conditions))
        return tuple(each.entry for each in kept[:limit])

    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        """See `Memory`."""
        shelf, conditions = self._shelf(namespace), self._rules.where(where)
        return len(await self._server.run(lambda client: shelf.meeting(client, conditions)))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._server.aclose()

    def _shelf(self, namespace: str) -> "_Shelf":
        name = self._rules.namespace(namespace).encode().hex()
        return _Shelf(f"{self._prefix}:memory:{name}", namespace, self._rules)


class _Shelf:
    """One namespace: a hash of entries by id, a sorted set of when they expire, a counter."""

    def __init__(self, key: str, namespace: str, rules: Rules) -> None:
        self._key, self._namespace, self._rules = key, namespace, rules
        self._expiring, self._counter = f"{key}:expires", f"{key}:number"

    def put(self, client: Client, made: Sequence[Prepared]) -> None:
        """Write all of it, or none; tried again when somebody else writes meanwhile."""
        client.transaction(functools.partial(self._put, made), self._key, self._expiring)

    def drop(self, client: Client, ids: Sequence[str]) -> int:
        """Drop what is there of *ids*."""
        self._expire(client)
        with client.pipeline() as pipe:
            pipe.hdel(self._key, *ids)
            pipe.zrem(self._expiring, *ids)
            return int(pipe.execute()[0])

    def get(self, client: Client, ids: Sequence[str]) -> list[_Kept]:
        """Return what is there of *ids* and has not expired."""
        return self._live(value for value in client.hmget(self._key, ids) if value is not None)

    def meeting(self, client: Client, conditions: Sequence[Where]) -> list[_Kept]:
        """Return what has not expired and meets *conditions*, newest first."""
        self._expire(client)
        live = self._live(client.hvals(self._key))
        met = [each for each in live if meets(each.entry.metadata, conditions)]
        return sorted(met, key=lambda each: -each.number)

    def _live(self, values: Iterable[bytes]) -> list[_Kept]:
        try:
            kept = [_decode(value) for value in values]
        except msgspec.MsgspecError as error:
            raise StoreUnavailableError(self._key, f"it holds something else: {error}", "Choose a prefix.") from error
        now = self._rules.now()
        return [each for each in kept if each.entry.expires is None or each.entry.expires > now]

    def _expire(self, client: Client) -> None:
        gone = client.zrangebyscore(self._expiring, "-inf", self._rules.now())
        if gone:
            client.transaction(self._drop_expired, self._key, self._expiring)

    def _drop_expired(self, pipe: Client) -> None:
        gone = pipe.zrangebyscore(self._expiring, "-inf", self._rules.now())
        pipe.multi()
        if gone:
            pipe.hdel(self._key, *gone)
            pipe.zrem(self._expiring, *gone)

    def _put(self, made: Sequence[Prepared], pipe: Client) -> None:
        gone = set(pipe.zrangebyscore(self._expiring, "-inf", self._rules.now()))
        ids = [entry.id.encode() for entry, _ in made]
        known = {name for name, value in zip(ids, pipe.hmget(self._key, ids), strict=True) if value is not None}
        kept = pipe.hlen(self._key) - len(gone)
        self._rules.room(self._namespace, kept + len(ids) - len(known - gone))
        number = pipe.incrby(self._counter, len(made)) - len(made)
        pipe.multi()
        if gone:
            pipe.hdel(self._key, *gone)
        pipe.zrem(self._expiring, *ids, *gone)
        for place, (entry, vector) in enumerate(made, 1):
            pipe.hset(self._key, entry.id, _encode(_Kept(number + place, entry, vector)))
            if entry.expires is not None:
                pipe.zadd(self._expiring, {entry.id: entry.expires})
