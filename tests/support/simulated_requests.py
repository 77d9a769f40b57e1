"""A program for simulations about requests: submitted, awaited, cancelled, collected, while agents come and go."""

from collections import Counter
from typing import Any, Final

import anyio
import msgspec

from ceylon import Agent, BlockingContext, CeylonError, Context, DeadlockError, Mesh, Request, RequestTimeoutError, on
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation

__all__ = ["run_requests"]

_CLIENTS: Final = 4
_ERRANDS: Final = 6
_SETTINGS: Final = msgspec.structs.replace(DEFAULTS, kept_results=6, kept_results_seconds=3.0, submit_timeout=20.0)


class Worker(Agent):
    """Takes its time, fails at some things, and begins again then."""

    on_failure = "restart"
    mailbox_capacity: int | None = 2
    max_restarts: int | None = 1_000

    async def on_message(self, message: str, context: Context) -> str:
        if message == "boom":
            raise ValueError(message)
        await anyio.sleep(0.5)
        return message


class Courier(Agent):
    """Lives in a thread; submits to the worker, and waits for it."""

    def on_message(self, message: str, context: BlockingContext) -> Any:
        return context.submit("worker", message, timeout=5).wait()


class Patient(Agent):
    """Waits for a request of anybody's, also for one that waits for itself."""

    @on
    async def any_request(self, request: Request) -> Any:  # type: ignore[type-arg]
        return await request

    def __init__(self, name: str, overdue: list[str]) -> None:
        super().__init__(name)
        self.overdue = overdue

    @on
    async def text(self, text: str, context: Context) -> Any:
        began = context.now
        try:
            return await (await context.submit(self.name, 1))
        finally:
            if context.now > began:
                self.overdue.append(f"{context.message_id} waited for itself for {context.now - began:g} s")

    @on
    async def number(self, number: int) -> int:
        return number


class _Run:
    """What one run has submitted, and who was given which result."""

    def __init__(self, simulation: Simulation, mesh: Mesh) -> None:
        self.simulation, self.mesh = simulation, mesh
        self.requests: list[Request[Any]] = []
        self.collected: Counter[str] = Counter()
        self.overdue: list[str] = []

    def agent(self, name: str) -> Agent:
        """Return a new agent of this name."""
        if name == "patient":
            return Patient(name, self.overdue)
        return Worker(name) if name == "worker" else Courier(name)

    async def submit(self, address: str, message: Any) -> None:
        """Submit, and keep the request."""
        timeout = self.simulation.random.choice([None, None, 1.0])
        try:
            self.requests.append(await self.mesh.submit(address, message, timeout=timeout))
        except CeylonError:
            return

    async def errand(self) -> None:
        """Do something about requests, whatever the seed says."""
        chance = self.simulation.random
        request = chance.choice(self.requests) if self.requests else None
        match chance.randrange(8):
            case 0 | 1 | 2:
                address = chance.choice(["worker", "worker", "courier", "patient"])
                await self.submit(address, chance.choice(["tea", "milk", "boom"]))
            case 3 if request is not None:
                await self.submit("patient", request)
            case 4 if request is not None:
                request.cancel()
            case 5 if request is not None:
                await self.wait(request)
            case 6:
                await self.collect(timeout=chance.choice([0.0, 1.0, None]))
            case 7:
                await self.disturb(chance.choice(["worker", "courier", "patient"]))
            case _:
                await anyio.sleep(chance.random())

    async def wait(self, request: Request[Any]) -> None:
        """Wait for a while, or leave."""
        with anyio.move_on_after(self.simulation.random.random() * 2):
            try:
                await self.mesh.wait_for(request, timeout=self.simulation.random.choice([0.5, None]))
            except RequestTimeoutError:
                return
            except CeylonError:
                assert request.is_done

    async def collect(self, timeout: float | None = None) -> None:
        """Take what there is; nobody is given what somebody else was."""
        results = await self.mesh.collect(timeout=timeout)
        self.collected.update(result.id for result in results)

    async def disturb(self, name: str) -> None:
        """Stop an agent, and put another in its place."""
        try:
            await self.mesh.stop(name, at_once=self.simulation.random.random() < 0.5)
            self.mesh.add(self.agent(name))
        except CeylonError:
            return

    def check(self) -> None:
        """Fail unless everything has ended once, and nothing is left."""
        assert [request for request in self.requests if not request.is_done] == []
        assert self.overdue == []
        assert [number for number, times in self.collected.items() if times > 1] == []
        assert self.mesh.pending() == []
        assert self.mesh.statistics().requests.pending == 0
        assert len(self.mesh.results()) <= _SETTINGS.kept_results


async def run_requests(simulation: Simulation) -> None:
    """Let clients submit, wait, cancel and collect, while agents are stopped; everything ends once in the end."""
    at_once = simulation.random.random() < 0.2
    async with simulation.mesh("market", settings=_SETTINGS) as mesh:
        run = _Run(simulation, mesh)
        for name in ("worker", "courier", "patient"):
            mesh.add(run.agent(name))

        async def client() -> None:
            for _ in range(simulation.times(_ERRANDS)):
                await run.errand()

        async with anyio.create_task_group() as clients:
            for _ in range(_CLIENTS):
                clients.start_soon(client)
        if at_once:
            await mesh.stop(at_once=True)
    run.check()
    outcomes = Counter[str]()
    for request in run.requests:
        try:
            await request
        except DeadlockError:
            outcomes["deadlock"] += 1
        except CeylonError:
            outcomes["failed"] += 1
        else:
            outcomes["answered"] += 1
    simulation.note(" ".join(f"{how}:{number}" for how, number in sorted(outcomes.items())))
