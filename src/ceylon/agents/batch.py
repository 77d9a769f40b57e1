"""Many queries at once: a limit on how many are under way, retries for faults that pass, answers as they come."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import msgspec

from ceylon.agents.journal import Journal
from ceylon.agents.progress import Progress, display_for
from ceylon.errors import (
    ArgumentError,
    IncompleteStreamError,
    ModelStatusError,
    ModelUnavailableError,
)
from ceylon.models.turns import Reply, Usage

if TYPE_CHECKING:
    from ceylon.core.streams import Channel

__all__ = ["Answer", "Batch"]

_PASSING: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})  # statuses that another try may not meet
_FIRST_PAUSE: Final = 0.5  # seconds, doubled each time, with full jitter
_LONGEST_PAUSE: Final = 60.0  # a server that asks for more is not waited for


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one query of a batch: text, or an error; `index` is the query's position."""

    index: int
    query: str
    text: str = ""
    error: BaseException | None = None
    usage: Usage = Usage()


class Batch:
    """Queries for one agent, asked on the mesh's loop."""

    def __init__(
        self,
        queries: Iterable[str],
        ask: Callable[[str], Awaitable[Reply]],
        *,
        concurrency: int,
        retries: int,
        progress: Progress,
        journal: Journal | None = None,
    ) -> None:
        self._queries = queries if isinstance(queries, str) else list(queries)
        self._ask = ask
        self._concurrency = concurrency
        self._retries = retries
        self._progress = progress
        self._journal = journal

    def check(self) -> None:
        """Raise `ArgumentError` for what cannot be."""
        if isinstance(self._queries, str):
            message = "queries is one text; give a list of texts"
            raise ArgumentError(message)
        if self._concurrency < 1 or self._retries < 0:
            message = f"concurrency={self._concurrency}, retries={self._retries} cannot be: from 1 and from 0"
            raise ArgumentError(message)

    async def run(self, channel: "Channel") -> None:
        """Ask everything, and put each `Answer` into *channel* as it comes."""
        display = display_for(self._progress)
        total, done = len(self._queries), 0
        try:
            missing: list[tuple[int, str]] = []
            async for answer in self._resumed(missing):
                done += 1
                await channel.put(answer)
            if total:
                display.update(done, total)

            async def work(waiting: Iterator[tuple[int, str]]) -> None:
                nonlocal done
                for index, query in waiting:
                    answer = await self._answer(index, query)
                    done += 1
                    display.update(done, total)
                    await channel.put(answer)

            waiting = iter(missing)
            async with anyio.create_task_group() as workers:
                for _ in range(min(self._concurrency, len(missing))):
                    workers.start_soon(work, waiting)
        finally:
            display.close()
            if self._journal is not None:
                self._journal.close()

    async def _resumed(self, missing: list[tuple[int, str]]) -> AsyncIterator[Answer]:
        """Give the answers an earlier run got; put the other queries into *missing*."""
        if self._journal is not None:
            await anyio.to_thread.run_sync(self._journal.open)
        for index, query in enumerate(self._queries):
            line = self._journal.find(index, query) if self._journal is not None and isinstance(query, str) else None
            if line is None:
                missing.append((index, query))
            else:
                yield Answer(index=index, query=query, text=line.text, usage=line.usage)

    async def _answer(self, index: int, query: str) -> Answer:
        """Ask one query, again after faults that pass."""
        for attempt in range(self._retries + 1):
            try:
                reply = await self._ask(query)
            except Exception as error:  # noqa: BLE001 – an answer of the batch: the caller decides
                pause = _pause(error, attempt)
                if pause is None or attempt == self._retries:
                    return Answer(index=index, query=query, error=error)
                await anyio.sleep(pause)
            else:
                if self._journal is not None:
                    self._journal.append(index, query, reply.text, reply.usage)
                return Answer(index=index, query=query, text=reply.text, usage=reply.usage)
        raise AssertionError

    async def gather(self, answers: AsyncIterator[Answer], *, return_exceptions: bool) -> list[Any]:
        """Return the texts in the order of the queries; raise the first error unless *return_exceptions*."""
        results: list[Any] = [None] * len(self._queries)
        async for answer in answers:
            if answer.error is not None and not return_exceptions:
                raise answer.error
            results[answer.index] = answer.text if answer.error is None else answer.error
        return results


def _pause(error: Exception, attempt: int) -> float | None:
    """Return the seconds to wait before another try, or `None` if that would fail as well."""
    if isinstance(error, ModelStatusError):
        if error.status not in _PASSING:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= _LONGEST_PAUSE else None
    elif not isinstance(error, ModelUnavailableError | IncompleteStreamError):
        return None
    return random.uniform(0.0, _FIRST_PAUSE * 2**attempt)  # noqa: S311 – jitter
