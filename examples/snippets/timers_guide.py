"""The code of docs/guides/timers.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
from datetime import UTC, datetime, timedelta

from ceylon import Agent, Context, Mesh, cron, every, on
from ceylon.core.agent_timers import TimerHandle
from ceylon.messages import Tick
from ceylon.testing import Simulation, run_simulation


# --8<-- [start:every]
class Cache(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.entries: dict[str, str] = {}

    async def on_message(self, key: str) -> str:
        return self.entries.setdefault(key, key.upper())

    @every("5m")
    async def sweep(self) -> None:
        self.entries.clear()

    @every(timedelta(hours=1))
    def report(self, context: Context) -> None:  # plain: it may block, it has a thread
        context.log.info("entries", number=len(self.entries))


# --8<-- [end:every]


# --8<-- [start:cron]
class Newsroom(Agent):
    @cron("0 9 * * mon-fri", timezone="Europe/Lisbon")
    async def open(self) -> None:
        print("good morning")

    @cron("0 17 * * mon-thu", timezone="Europe/Lisbon")
    @cron("0 13 * * fri", timezone="Europe/Lisbon")
    async def close(self) -> None:
        print("good night")


# --8<-- [end:cron]


# --8<-- [start:context]
class Kettle(Agent):
    whistle: TimerHandle | None = None

    @on
    async def boil(self, cups: int, context: Context) -> str:
        context.after(f"{cups}m 30s", "ready")  # once
        context.at(datetime(2026, 1, 1, 17, 0, tzinfo=UTC), "tea time")  # once, then
        self.whistle = context.every("10s", "whistle")  # until it is cancelled
        return repr(self.whistle)  # <TimerHandle of 'kettle' next in 10 s>

    @on
    async def hear(self, what: str) -> None:
        print(what)
        if what == "ready" and self.whistle is not None:
            self.whistle.cancel()


# --8<-- [end:context]


# --8<-- [start:tick]
async def tick() -> None:
    async with Mesh("shop") as mesh:
        cache = mesh.add(Cache("cache"))
        print(await cache.ask("tea"))
        await cache.ask(Tick("sweep"))  # now, whatever the clock says


# --8<-- [end:tick]


# --8<-- [start:simulated]
async def a_day(simulation: Simulation) -> None:
    async with simulation.mesh() as mesh:
        mesh.add(Newsroom("newsroom"))
        print(await mesh.add(Kettle("kettle")).ask(1))
        await asyncio.sleep(86_000)  # a day, which takes no time
        await mesh.stop("newsroom")


# --8<-- [end:simulated]


if __name__ == "__main__":
    asyncio.run(tick())
    outcome = run_simulation(a_day, seed=1)
    if outcome.error is not None:
        raise outcome.error
