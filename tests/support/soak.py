"""The soak, a program of its own so that its memory is nobody else's: `soak.py 1000000 [SABOTAGE]` prints its figures.

Fifty agents, async and sync, get tells, asks, calls, publications and streams; one message in a hundred makes its
handler raise, some asks run out of time, some agents are restarted. Senders and handlers keep books: how many messages
and the sum of their numbers, per agent. What is lost or comes twice shows there, whatever the mesh itself believes.
"""

import asyncio
import contextlib
import gc
import itertools
import logging
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import psutil

from ceylon import AskTimeoutError, HandlerError, LawBrokenError, Mesh
from ceylon.core.findings import Ledger
from ceylon.settings import DEFAULTS
from ceylon.testing.sabotage import drop_a_message
from support.soak_agents import AGENTS, PARTS, Book, Bookkeeper, Work

__all__ = ["Figures", "complaints"]

SEED: Final = 20
CLIENTS: Final = 16
GROWTH: Final = 16 * 1024 * 1024
"""Bytes that a process may have grown by since its warm-up; promised."""
SETTINGS: Final = msgspec.structs.replace(DEFAULTS, backoff_first=0.001, backoff_most=0.005)


class Figures(msgspec.Struct, frozen=True):
    """What a soak found; memory in bytes, times in seconds, `before` and `after` the mesh."""

    messages: int
    seconds: float
    lost: int
    twice: int
    wrong: int
    failed: int
    timeouts: int
    restarts: int
    is_balanced: bool
    left_open: int
    left_timers: int
    rss: list[tuple[int, int]]
    p99_at_start: float
    p99_at_end: float
    before: dict[str, int]
    after: dict[str, int]


def complaints(figures: Figures) -> list[str]:
    """Return what a soak must not find; times are no part of that."""
    (_, warm), (_, last) = figures.rss[0], figures.rss[-1]
    found = {
        f"{figures.lost} messages are lost": figures.lost,
        f"{figures.twice} messages were handled twice": figures.twice,
        f"{figures.wrong} outcomes are wrong": figures.wrong,
        "the law is broken": not figures.is_balanced,
        f"{figures.left_open} messages and asks never ended": figures.left_open,
        f"{figures.left_timers} timers are left": figures.left_timers,
        f"memory grew by {(last - warm) / 2**20:.1f} MiB": last - warm > GROWTH,
        f"there was {figures.before} before, and is {figures.after}": figures.before != figures.after,
    }
    return [words for words, is_so in found.items() if is_so]


class Soak:
    """One run: what was sent, what came of it, and what was measured."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.sent: Book = defaultdict(lambda: [0, 0])
        self.done: Book = defaultdict(lambda: [0, 0])
        self.count = 0
        self.limit = 0
        self.wrong = self.failed = self.timeouts = 0
        self.latencies: list[float] = []
        self.rss: list[tuple[int, int]] = []
        self.slowest = (0.0, 0.0)
        self.ledger: Ledger | None = None
        self._numbers = itertools.count(1)
        self._random = random.Random(SEED)  # noqa: S311 – repeatable is the point
        self._verbs: list[Callable[[], Awaitable[None]]] = [self._tell, self._ask, self._publish, self._stream]
        self._verbs += [self._relay, self._call, self._time_out]
        self._weights = list(itertools.accumulate([700, 180, 10, 20, 30, 25, 1]))

    def populate(self) -> None:
        """Add the agents."""
        for kind, (make, count) in AGENTS.items():
            for number in range(count):
                name = f"{kind}-{number}"
                self.mesh.add(make(name) if kind == "sluggard" else make(name, self.done))

    # -- what clients do -----------------------------------------------------------------------------------------------

    def _new(self, *recipients: str, raises: bool = False) -> Work:
        """Return a new message, entered for those who must get it."""
        work = Work(next(self._numbers), raises)
        for recipient in recipients:
            entry = self.sent[recipient]
            entry[0] += 1
            entry[1] += work.number
            self.count += 1
        return work

    def _someone(self, *kinds: str) -> str:
        kind = self._random.choice(kinds)
        return f"{kind}-{self._random.randrange(AGENTS[kind][1])}"

    def _clerk(self) -> str:
        return self._someone("clerk", "clerk", "clerk", "thread", "inline", "frail")

    async def _tell(self) -> None:
        recipient = self._clerk()
        await self.mesh.tell(recipient, self._new(recipient, raises=self._random.random() < 0.01))

    async def _ask(self) -> None:
        recipient = self._clerk()
        work = self._new(recipient, raises=self._random.random() < 0.01)
        try:
            self.wrong += await self.mesh.ask(recipient, work) != work.number or work.raises
        except HandlerError as error:
            self.failed += 1
            self.wrong += not work.raises or error.root.args != (work.number,)

    async def _publish(self) -> None:
        listeners = [f"{kind}-{number}" for kind in ("listener", "hearer") for number in range(AGENTS[kind][1])]
        self.wrong += await self.mesh.publish("news.tea", self._new(*listeners)) != len(listeners)

    async def _stream(self) -> None:
        recipient = self._someone("teller", "teller", "reader")
        work = self._new(recipient)
        expected = [work.number + number for number in range(PARTS)]
        self.wrong += await self.mesh.stream(recipient, work).result() != expected

    async def _relay(self) -> None:
        relay = self._someone("relay", "relay", "blocking")
        work = self._new(relay)
        last = f"thread-{work.number % 4}" if relay.startswith("blocking") else f"clerk-{work.number % 8}"
        entry = self.sent[last]
        entry[0] += 1
        entry[1] += work.number
        self.count += 1
        self.wrong += await self.mesh.ask(relay, work) != work.number

    async def _call(self) -> None:
        recipient = self._someone("clerk")
        work = self._new(recipient)
        self.wrong += await self.mesh.call(recipient, "book_in", number=work.number) != work.number

    async def _time_out(self) -> None:
        self.count += 1
        try:
            await self.mesh.ask(self._someone("sluggard"), Work(0), timeout=0.01)
            self.wrong += 1
        except AskTimeoutError:
            self.timeouts += 1

    async def _probe(self) -> None:
        """Ask an agent that nobody else asks, and keep how long that takes."""
        while self.count < self.limit:
            work = self._new("probed-0")
            began = time.perf_counter()
            self.wrong += await self.mesh.ask("probed-0", work) != work.number
            self.latencies.append(time.perf_counter() - began)
            await asyncio.sleep(0.002)

    async def _client(self) -> None:
        while self.count < self.limit:
            (verb,) = self._random.choices(self._verbs, cum_weights=self._weights)
            await verb()

    # -- the run -------------------------------------------------------------------------------------------------------

    async def fill_rings(self) -> None:
        """Send enough failing tells that every ring of the mesh is full, so that it grows no more."""
        for number in range(SETTINGS.dead_letter_ring):
            recipient = f"clerk-{number % 8}"
            await self.mesh.tell(recipient, self._new(recipient, raises=True))
        await self.mesh.drain()

    async def send(self, until: int) -> float:
        """Send until so many were sent in all, let everything end, measure; return the probe's 99th percentile."""
        self.limit, self.latencies = until, []
        async with asyncio.TaskGroup() as clients:
            clients.create_task(self._probe())
            for _ in range(CLIENTS):
                clients.create_task(self._client())
        await self.mesh.drain()
        gc.collect()
        self.rss.append((self.count, psutil.Process().memory_info().rss))
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)] if self.latencies else 0.0

    def figures(self, seconds: float, before: dict[str, int], after: dict[str, int]) -> Figures:
        """Return what there is to say of a run that is over."""
        assert self.ledger is not None
        statistics = self.ledger.statistics
        agents = statistics.agents.values()
        names = {*self.sent, *self.done}
        missing = [self.sent[name][0] - self.done[name][0] for name in names]
        return Figures(
            messages=sum(agent.accepted for agent in agents),
            seconds=seconds,
            lost=sum(max(count, 0) for count in missing),
            twice=sum(max(-count, 0) for count in missing),
            wrong=self.wrong + sum(self.sent[name] != self.done[name] for name in names),
            failed=sum(agent.failed for agent in agents),
            timeouts=self.timeouts,
            restarts=sum(agent.restarts for agent in agents),
            is_balanced=self.ledger.is_balanced and self.mesh.statistics().is_balanced,
            left_open=len(self.ledger.open) + statistics.pending_asks,
            left_timers=statistics.timers,
            rss=self.rss,
            p99_at_start=self.slowest[0],
            p99_at_end=self.slowest[1],
            before=before,
            after=after,
        )


def resources() -> dict[str, int]:
    """Count what the process has and the loop runs."""
    return {
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "descriptors": psutil.Process().num_fds(),
    }


async def come_back(before: dict[str, int]) -> dict[str, int]:
    """Return what there is once the mesh's threads have had the time to end."""
    end = time.monotonic() + 10
    while (after := resources()) != before and time.monotonic() < end:  # noqa: ASYNC110 – a thread's end has no event
        await asyncio.sleep(0.01)
    return after


async def all_run(mesh: Mesh) -> None:
    """Wait until whoever the last message has made fail is there again: the pause before that is a timer."""
    end = time.monotonic() + 10
    while any(agent.state != "running" for agent in mesh.statistics().agents.values()) and time.monotonic() < end:  # noqa: ASYNC110 – an agent's return has no event
        await asyncio.sleep(0.01)


async def soak(messages: int) -> Figures:
    """Send *messages* in ten parts; the first is the warm-up."""
    before = resources()
    began = time.perf_counter()
    run = Soak(Mesh("soak", settings=SETTINGS))
    with contextlib.suppress(LawBrokenError):  # the figures say so
        async with run.mesh as mesh:
            run.populate()
            await run.fill_rings()
            slowest = [await run.send(until=messages * part // 10) for part in range(1, 11)]
            await all_run(mesh)
            run.ledger, run.slowest = mesh.ledger(), (slowest[1], slowest[-1])
    seconds = time.perf_counter() - began
    return run.figures(seconds, before, await come_back(before))


def sabotaged(how: str) -> contextlib.AbstractContextManager[None]:
    """Break something on purpose: nothing, memory, or the mesh, which loses one of the tells that fill the rings."""
    if how == "hoard":
        Bookkeeper.hoard = []
    return drop_a_message(5_000) if how == "drop" else contextlib.nullcontext()


def main() -> None:
    """Run, and print the figures as one line of JSON."""
    messages, how = (*sys.argv[1:], "")[:2]
    logging.disable()  # what agents are told to raise
    with sabotaged(how):
        figures = asyncio.run(soak(int(messages)))
    print(msgspec.json.encode(figures).decode())  # noqa: T201 – read by the test


if __name__ == "__main__":
    main()
