"""Many queries at once: a limit on how many are under way, retries for faults that pass, answers as they come."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec

from ceylon.agents.journal import Journal
from ceylon.agents.llm_settings import check_concurrency, check_retries, has_items
from ceylon.agents.llm_streams import BlockingPieces, Pieces, as_it_is
from ceylon.agents.progress import Display, Progress, display_for
from ceylon.core.terms import Terms, terms_of
from ceylon.errors import ArgumentError, IncompleteStreamError
from ceylon.models.turns import Reply, Usage

if TYPE_CHECKING:
    from ceylon.agents.road import Road
    from ceylon.agents.seat import Seat
    from ceylon.agents.setup import Setup
    from ceylon.core.budgets import Budget
    from ceylon.core.channel import Channel
    from ceylon.core.interior import Interior

__all__ = ["Answer", "Answers", "Batch", "BlockingAnswers"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one query of a batch: text, or an error; `index` is the query's position."""

    index: int
    query: str
    text: str = ""
    error: BaseException | None = None
    usage: Usage = Usage()


class Batch:
    """Queries for one agent, asked on the mesh's loop; the answers are shown and kept where they are taken."""

    def __init__(  # noqa: PLR0913 – what the verbs take
        self,
        queries: Iterable[str],
        setup: "Setup",
        *,
        concurrency: int | None,
        retries: int,
        progress: Progress,
        resume: "str | Path | None",
        budget: "Budget | None" = None,
    ) -> None:
        self.results: list[Any] = []
        self._given: Any = queries
        self._queries: list[str] = []
        self._setup = setup
        self._concurrency = concurrency
        self._retries = retries
        self._progress = progress
        self._resume, self._budget = resume, budget
        self._journal: Journal | None = None
        self._display: Display | None = None
        self._taken = 0

    def check(self) -> None:
        """Look at what was given; the iterable is read here.

        Raises:
            ArgumentError: something cannot be.
        """
        if isinstance(self._given, str) or not has_items(self._given):
            message = f"queries={self._given!r} cannot be; it takes a list of texts"
            raise ArgumentError(message)
        if self._concurrency is not None:
            check_concurrency(self._concurrency)
        check_retries(self._retries)
        terms_of(self._budget, None)
        self._display = display_for(self._progress)
        if self._resume is not None:
            self._journal = Journal(self._resume, self._setup.settings.fingerprint())
        self._queries = list(self._given)
        self.results = [None] * len(self._queries)

    @property
    def tries(self) -> int:
        """How often a request may be made."""
        return self._retries + 1

    @property
    def terms(self) -> Terms | None:
        """Terms under which all queries draw on the one budget."""
        terms = terms_of(self._budget, None)
        return None if terms is None else terms.shared()

    # -- on the mesh's loop --------------------------------------------------------------------------------------------

    async def run(
        self, interior: "Interior", seat: "Seat", ask: Callable[[str], Awaitable[Reply]], channel: "Channel"
    ) -> None:
        """Ask everything, and put each `Answer` into *channel* as it comes."""
        missing: list[tuple[int, str]] = []
        try:
            async for answer in self._resumed(missing):
                await channel.put(answer)
            at_once = self._setup.settings.concurrency if self._concurrency is None else self._concurrency
            waiting = iter(missing)

            async def work() -> None:
                for index, query in waiting:
                    await channel.put(await self._answer(interior, ask, index, query))

            with seat.widened(at_once):
                async with anyio.create_task_group() as workers:
                    for _ in range(min(at_once, len(missing))):
                        workers.start_soon(work)
        except ExceptionGroup as group:
            raise _first_of(group) from None
        finally:
            if self._journal is not None:
                self._journal.close()

    async def _resumed(self, missing: list[tuple[int, str]]) -> AsyncIterator[Answer]:
        """Give the answers an earlier run got; put the other queries into *missing*."""
        if self._journal is not None:
            await anyio.to_thread.run_sync(self._journal.open)
        for index, query in enumerate(self._queries):
            line = self._journal.find(index, query) if self._journal is not None else None
            if line is None:
                missing.append((index, query))
            else:
                yield Answer(index=index, query=query, text=line.text, usage=line.usage)

    async def _answer(
        self, interior: "Interior", ask: Callable[[str], Awaitable[Reply]], index: int, query: str
    ) -> Answer:
        """Ask one query, again after faults that pass."""
        for attempt in range(self._retries + 1):
            try:
                reply = await ask(query)
            except Exception as error:  # noqa: BLE001 – an answer of the batch: the caller decides
                pause = _pause(error, attempt, interior)
                if pause is None or attempt == self._retries:
                    return Answer(index=index, query=query, error=error)
                await interior.lifecycle.sleep(pause)
            else:
                if self._journal is not None:
                    self._journal.append(index, query, reply.text, reply.usage)
                return Answer(index=index, query=query, text=reply.text, usage=reply.usage)
        raise AssertionError

    # -- where the answers are taken -----------------------------------------------------------------------------------

    def take(self, answer: Answer) -> Answer:
        """Show that there is one answer more."""
        self._taken += 1
        if self._display is not None:
            self._display.update(self._taken, len(self._queries))
        return answer

    def keep(self, answer: Answer, *, return_exceptions: bool) -> None:
        """Put *answer* into the results, at its place; raise its error unless *return_exceptions*."""
        if answer.error is not None and not return_exceptions:
            raise answer.error
        self.results[answer.index] = answer.text if answer.error is None else answer.error

    def close(self) -> None:
        """Show nothing any more."""
        display, self._display = self._display, None
        if display is not None:
            display.close()


class Answers(Pieces[Answer]):
    """The answers of a batch in the order they come: an async iterator, and a context manager to leave it early."""

    def __init__(self, road: "Road", batch: Batch) -> None:
        super().__init__(lambda: road.batch(batch), as_it_is)
        self._batch = batch

    async def __anext__(self) -> Answer:
        """Return the next answer; its error is in it."""
        try:
            return self._batch.take(await super().__anext__())
        except BaseException:
            self._batch.close()
            raise

    async def aclose(self) -> None:
        """Take no more: what is under way is cancelled."""
        await super().aclose()
        self._batch.close()


class BlockingAnswers(BlockingPieces[Answer]):
    """The answers of a batch in the order they come, for plain `for` loops."""

    def __init__(self, road: "Road", batch: Batch) -> None:
        super().__init__(lambda: road.blocking_batch(batch), as_it_is)
        self._batch = batch

    def __next__(self) -> Answer:
        """Return the next answer; its error is in it."""
        try:
            return self._batch.take(super().__next__())
        except BaseException:
            self._batch.close()
            raise

    def close(self) -> None:
        """Take no more: what is under way is cancelled."""
        super().close()
        self._batch.close()


def _pause(error: Exception, attempt: int, interior: "Interior") -> float | None:
    """Return the seconds to wait before another try, or `None` if there is to be none.

    Where no answer had begun, the model's governor has tried again already, as often as the batch wants.
    """
    settings = interior.settings
    if not isinstance(error, IncompleteStreamError) or error.acted:
        return None
    return interior.random.uniform(0.0, min(settings.retry_first_pause * 2**attempt, settings.retry_longest_pause))


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    """Return one error for all that the workers of a batch raised: the first."""
    first: Any = group.exceptions[0]
    return _first_of(first) if hasattr(first, "exceptions") else first
