"""What a mesh is made of, wired up: one place that knows every part, so that the parts need not know each other.

It exists from the mesh's making on; the parts that need a loop come with `open`.
"""

import functools
import os
import random
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon.core.agent_timers import AgentTimers
from ceylon.core.belongings import Belongings
from ceylon.core.cell import Cell, State
from ceylon.core.counters import Gone, statistics_of
from ceylon.core.departures import Departures
from ceylon.core.dispatcher import Dispatcher
from ceylon.core.failures import Failures
from ceylon.core.gateway import Gateway
from ceylon.core.handlers import Refusal
from ceylon.core.ids import new_id
from ceylon.core.inspection import Inspector
from ceylon.core.instruments import instruments, observers
from ceylon.core.keeping import Keeping
from ceylon.core.ledger import MeshStatistics, describe_envelope
from ceylon.core.lifecycle import Lifecycle
from ceylon.core.log import logger
from ceylon.core.ordered import Ordered
from ceylon.core.pauses import Pauses
from ceylon.core.ports import as_agent
from ceylon.core.publishing import Publisher
from ceylon.core.quiet import Quiet
from ceylon.core.quiet_log import QuietLog
from ceylon.core.requests import Requests
from ceylon.core.resources import Resources
from ceylon.core.restarts import Restarts
from ceylon.core.router import Router
from ceylon.core.sinks import LOOP_ENDED
from ceylon.core.snapshots import InMemorySnapshots
from ceylon.core.sources import OwnSources
from ceylon.core.spending import Spending
from ceylon.core.subscriptions import Subscriptions
from ceylon.core.supervision import Supervisor
from ceylon.core.threads import ThreadPool
from ceylon.core.timers import Timers
from ceylon.core.watchdog import Watchdog
from ceylon.core.watching import Watches
from ceylon.errors import (
    AgentStoppedError,
    CeylonError,
    DuplicateNameError,
    LawBrokenError,
    MeshClosedError,
    describe,
)
from ceylon.messages import Outcome, attempt, type_name

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Sink, Task
    from ceylon.core.handlers import Behaviour
    from ceylon.core.interceptors import Interceptors
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike, AgentOptions, AgentSource
    from ceylon.core.registering import Registered
    from ceylon.core.sources import Sources
    from ceylon.core.tasks import TaskCall
    from ceylon.errors import UnhandledMessageError
    from ceylon.messages import Envelope
    from ceylon.settings import Settings

__all__ = ["Interior"]

_LEAST_GRACE: Final = 0.01  # seconds; when there is no time left, a hook that waits for nothing still ends
_SHARE: Final = 0.8  # of the time that is left, for the next hook; what hangs must not take the others' as well
_live: "weakref.WeakSet[Interior]" = weakref.WeakSet()  # read by the fork hook below and by nothing else


class Interior:
    """The parts of one mesh, and what they tell each other through it."""

    driver: "Driver"
    timers: Timers
    router: Router
    publisher: Publisher
    threads: ThreadPool
    dispatcher: Dispatcher
    lifecycle: Lifecycle
    keeping: Keeping
    belongings: Belongings
    agent_timers: AgentTimers
    restarts: Restarts
    watches: Watches
    requests: Requests
    resources: Resources
    inspector: Inspector
    pauses: Pauses
    quiet: Quiet
    quiet_log: QuietLog

    def __init__(
        self, name: str, settings: "Settings", random_source: random.Random, interceptors: "Interceptors | None" = None
    ) -> None:
        self.name = name
        self.settings = settings
        self.instruments = instruments.get()
        self.id = (self.instruments.new_id or new_id)()
        self.thread = -1  # of the loop, while that runs
        self.is_open = False
        self.is_stopping = False
        self.was_interrupted = False
        self.breach: LawBrokenError | None = None  # of the one law, found at the end
        self.grace_end: float | None = None  # of a mesh that stops: when all hooks must have ended
        self.watchdog: Watchdog | None = None
        self.watcher: Task | None = None  # waits for the mesh's end, and runs nobody's code
        self.stop_at_once: Callable[[], None] | None = None  # as Ctrl-C does, and a critical agent's failure
        self.on_closed: Callable[[], None] | None = None
        self.read_from(OwnSources(self.instruments.clock, random_source))
        self.spending = Spending()
        self.interceptors = interceptors
        self.subscriptions = Subscriptions(settings.subscriptions)
        self.failures = Failures(self)
        self.gateway = Gateway(name)
        self.early: dict[str, Cell] = {}  # added before the mesh was started
        self.registered: dict[str, Registered] = {}  # names behind which there are more agents than one
        self.departures = Departures(self)
        self.snapshots = InMemorySnapshots(settings)
        self.was_opened = False
        self.is_default = False  # the process-wide mesh, which lets agents go to any other
        self.tasks: Ordered[TaskCall] = Ordered()  # verbs under way that are more than one ask
        self._gone = Gone()
        _live.add(self)

    # -- opening and closing -------------------------------------------------------------------------------------------

    def open(self, driver: "Driver") -> None:
        """Put the parts together on the running loop, and start the agents that were added before."""
        self.driver = driver
        self.timers = Timers(driver)
        self.quiet_log = QuietLog(self.settings, driver.now_anywhere)
        parts = self.instruments
        router = parts.router or Router
        if self.interceptors is not None:
            router = self.interceptors.router(router)
        self.router = router(self, driver, self.timers)
        self.publisher = self.router.publisher = Publisher(self.router, self.subscriptions)
        self.threads = (parts.threads or ThreadPool)(self, driver)
        self.dispatcher = self.router.dispatcher = (parts.dispatcher or Dispatcher)(self, driver)
        self.lifecycle = (parts.lifecycle or Lifecycle)(self)
        self.belongings = Belongings(self)
        self.keeping = Keeping(self)
        self.agent_timers = AgentTimers(self)
        self.restarts = Restarts(self)
        self.watches = Watches(self)
        self.requests = Requests(self)
        self.resources = Resources(driver)
        self.inspector = Inspector(self)
        self.pauses = Pauses(self)
        self._set_watchdog()
        self.gateway.open(driver, self.threads)
        self.quiet = Quiet(self.router)
        self.router.quiet = self.quiet
        self.thread, self.is_open, self.was_opened = driver.thread, True, True
        for observer in observers:
            observer(self)
        early, self.early = self.early, {}
        for cell in early.values():
            self.admit(cell)

    def _set_watchdog(self) -> None:
        """Have the loop watched, unless the settings or the instruments say no."""
        limit = self.settings.block_warning
        if limit is not None and self.instruments.watches_loop:
            self.watchdog = Watchdog(self.name, self.driver, self.quiet_log, limit)
            self.watchdog.watch(self.router, self.dispatcher, self.belongings)

    def close(self, why: str) -> None:
        """Take everything apart, now: calls end with `MeshClosedError`, what still runs is given up."""
        if not self.is_open:
            return
        self.is_open, self.is_stopping, self.thread = False, True, -1
        why = self.failures.why_ended or why
        self.router.close(MeshClosedError(self.name, why))
        self.requests.close()
        for call in list(self.tasks):
            call.fail(MeshClosedError(self.name, why))
            call.task.cancel()
        self.quiet.tell(Outcome(error=MeshClosedError(self.name, why)))
        for cell in list(self.router.cells.values()):  # an orderly stop has left none
            self.lifecycle.drop(cell)
        self.threads.close(why)
        self.dispatcher.close()
        self.timers.close()
        self.gateway.close(why)
        self.driver.close()
        if self.watchdog is not None:
            self.watchdog.close()
        self._check_law()
        if self.on_closed is not None:
            self.on_closed()

    def close_if_loop_ends(self) -> None:
        """Close the mesh if the loop under it is ending, which shows in the task that does nothing but wait."""
        if self.is_open and self.watcher is not None and self.watcher.is_ended_by_loop():
            self.close(LOOP_ENDED)

    def _check_law(self) -> None:
        """Find out whether every envelope has ended once; if not, that is an error of ours, told to whoever leaves."""
        router = self.router
        agents = self._gone.unbalanced + [each.address for each in router.cells.values() if not each.is_balanced()]
        lost, twice = list(router.open.values()), router.endings.never_open
        if agents or lost or twice:
            self.breach = LawBrokenError(
                self.name,
                agents=agents,
                lost=[describe_envelope(self.id, envelope) for envelope in lost],
                twice=[describe_envelope(self.id, ending) for ending in twice],
            )
            logger().critical("law_broken", mesh=self.name, error=str(self.breach))

    # -- agents --------------------------------------------------------------------------------------------------------

    def cells(self) -> dict[str, Cell]:
        """Return the agents by address, also before the mesh is opened and after."""
        return self.router.cells if self.was_opened else self.early

    @property
    def has_ended(self) -> bool:
        """Whether it was opened and is not open any more; agents may leave it then."""
        return self.was_opened and not self.is_open

    def add(self, agent: "AgentLike", address: str) -> str:
        """Take *agent* in under *address*, from any thread; return the address."""
        if self.was_opened and threading.get_ident() != self.thread:
            self.gateway.block("add", functools.partial(self.add_for, agent, address), may_warn=False).get()
        else:
            self.place(agent, address)
        return address

    def add_for(self, agent: "AgentLike", address: str, sink: "Sink") -> None:
        """Take *agent* in under *address*, on the loop; *sink* hears of it."""
        sink.set_result(attempt(lambda: self.place(agent, address)))

    def resize(self, address: str, slots: int) -> None:
        """Let the agent at *address* handle *slots* messages at a time from now on; on the loop."""
        cell = self.cells().get(address)
        if cell is not None:
            cell.slots = slots + len(cell.loans or ())
            if cell.mail and self.was_opened:
                self.dispatcher.offer(cell)

    def spawn(self, parent: Cell, agent: "AgentLike | AgentSource", address: str | None = None) -> str:
        """Take *agent* in as a child of *parent*, also while what the mesh has accepted is handled; on the loop."""
        made = as_agent(agent)
        if not self.is_open or self.router.is_halted:
            raise MeshClosedError(self.name, "it is stopping")
        if not parent.state.takes_mail:
            raise AgentStoppedError(parent.address, "is stopping and takes no more children")

        def child(*parts: Any) -> Cell:
            cell = Cell(*parts)
            cell.parent = parent
            parent.have_life().children[cell.address] = cell
            return cell

        place = made.name if address is None else address
        self.place(made, place, child)
        return place

    def read(self, agent: "AgentLike") -> "tuple[Behaviour, AgentOptions]":
        """Return what *agent*, which is to live here, does and how it is to be run.

        Raises:
            AgentInUseError: it lives elsewhere, or here already.
        """
        behaviour = agent.__ceylon_behaviour__
        behaviour.read(final=True)
        agent.__ceylon_claim__(self)
        options = agent.__ceylon_options__()
        if self.interceptors is not None:
            behaviour = self.interceptors.around(behaviour)
        if options.handler_timeout is None:
            if self.settings.handler_timeout is None:
                return behaviour, options
            options = msgspec.structs.replace(options, handler_timeout=self.settings.handler_timeout)
        return behaviour.timed(), options

    def place(self, agent: "AgentLike", address: str, kind: "Callable[..., Cell]" = Cell) -> None:
        """Put *agent* into a cell that *kind* makes; on the loop, or before there is one."""
        if self.was_opened:
            cells = self.router.cells
            if not self.is_open or (self.is_stopping and kind is Cell):
                raise MeshClosedError(self.name, "it is closed")
        else:
            cells = self.early
        if address in cells or address in self.registered:
            raise DuplicateNameError(address, self.name)
        behaviour, options = self.read(agent)
        cell = kind(address, agent, behaviour, options, self.settings.mailbox_capacity)
        if len(cells) >= self.settings.roomy_agents:
            cell.is_thrifty = True
        if self.was_opened:
            self.admit(cell)
        else:
            self.early[address] = cell
            agent.__ceylon_move_in__(self, address)

    def stop_agent(self, address: str, sink: "Sink", *, source: "Origin | None" = None, at_once: bool = False) -> None:
        """End what is at *address*; *sink* hears when it is gone; see `Departures.stop`."""
        self.departures.stop(address, sink, source=source, at_once=at_once)

    def anywhere(self, verb: str, function: Callable[[], Any]) -> Any:
        """Return what *function* does on the loop, from any thread, or before there is a loop."""
        if self.was_opened and threading.get_ident() != self.thread:
            return self.gateway.block(verb, lambda sink: sink.set_result(attempt(function)), may_warn=False).get()
        return function()

    def register(self, name: str, registered: "Registered") -> None:
        """Let *name* stand for more agents than one; on the loop, or before there is one.

        Raises:
            DuplicateNameError: it stands for something already.
        """
        if self.was_opened and (not self.is_open or self.is_stopping):
            raise MeshClosedError(self.name, "it is closed")
        if name in self.cells() or name in self.registered:
            raise DuplicateNameError(name, self.name)
        self.registered[name] = registered

    def unregister(self, name: str) -> None:
        """Let *name* stand for nothing any more; whoever speaks to it from now on hears that it is unknown."""
        del self.registered[name]
        self.subscriptions.end(name)

    def admit(self, cell: Cell) -> None:
        """Give *cell* its address and start its agent."""
        self.router.cells[cell.address] = cell
        if cell.behaviour.interests:
            self.subscriptions.declare(cell.address, cell.behaviour.interests)
        cell.agent.__ceylon_move_in__(self, cell.address)
        self.lifecycle.start(cell)

    def clear(self, cell: Cell) -> None:
        """Let the agent in *cell* go, whose place stays."""
        self.subscriptions.end(cell.address)
        cell.agent.__ceylon_leave_home__()

    def adopt(self, cell: Cell) -> None:
        """Let the new instance in an agent's place know where it is."""
        cell.agent.__ceylon_move_in__(self, cell.address)

    def remove(self, cell: Cell) -> None:
        """Take *cell* out; its counters stay in the sum."""
        if self.router.cells.get(cell.address) is cell:
            del self.router.cells[cell.address]
            if cell.parent is not None:
                cell.parent.have_life().children.pop(cell.address, None)
            self.clear(cell)
            self._gone.add(cell.statistics())
            cell.left()

    def read_from(self, sources: "Sources") -> None:
        """Have the time of day and chance from *sources* from now on."""
        self.sources = sources
        self.random = sources.chance("")
        self.supervisor = Supervisor(self.settings, self.random)

    # -- what the parts tell ------------------------------------------------------------------------------------------

    def message_id(self, envelope_id: int) -> str:
        """Return the id of an envelope that users see: no other mesh has it."""
        return f"{self.id}-{envelope_id:x}"

    def driver_now(self) -> float:
        """Return the mesh's time, also from a worker thread."""
        return self.driver.now_anywhere()

    def time_of_day(self) -> float:
        """Return the seconds since 1970 that timers go by; how often they look is on no recording."""
        return self.instruments.clock()

    def report_failed_tell(self, cell: Cell, envelope: "Envelope", error: BaseException) -> None:
        """Nobody waits for a tell's outcome, so the log and the dead letters have it."""
        if isinstance(error, Refusal):
            error = error.error
        detail = describe(error)
        self.quiet_log.error(
            "handler_failed", cell.address, message=type_name(envelope.message), error=detail, exc_info=error
        )
        self.router.keep_failed(envelope, detail)

    def report_unhandled(self, cell: Cell, error: "UnhandledMessageError") -> None:
        """Likewise for a tell that no handler takes."""
        self.quiet_log.warning("message_unhandled", cell.address, message=error.message_type)

    def why_cancelled(self, cell: Cell) -> CeylonError:
        """Return what the asker of a handler is told that the mesh has cancelled."""
        if self.is_stopping:
            return MeshClosedError(self.name, self.failures.why_ended or "it stopped before the agent answered")
        if cell.state is State.RESTARTING:
            return AgentStoppedError(cell.address, "began again before it answered")
        return AgentStoppedError(cell.address)

    def run(self, function: Callable[[], Awaitable[None]], name: str, cell: Cell) -> None:
        """Do something about *cell* in a task that is nobody's own, so that no stop cuts it short."""

        async def work(task: "Task") -> None:
            try:
                with task.life():
                    await function()
            except Exception as error:  # noqa: BLE001 – a mistake of ours; it must not reach the loop
                logger().critical("lifecycle_failed", agent=cell.address, task=name, exc_info=error)

        self.driver.spawn(work, f"ceylon {cell.address} {name}")

    def grace(self) -> float:
        """Return how long a hook, or what is cancelled, may take; hooks of a mesh that stops share one time."""
        if self.grace_end is None:
            return self.settings.stop_grace
        return max(_LEAST_GRACE, (self.grace_end - self.driver.now()) * _SHARE)

    def check_end(self, error: BaseException | None = None) -> None:
        """Raise what the mesh failed by, if it did; *error*, which leaves its block, goes before unless it says so.

        Raises:
            LawBrokenError: an envelope was lost or ended twice.
            MeshFailedError: a critical agent failed for good.
        """
        if self.breach is not None and error is None:
            raise self.breach
        self.failures.check(error)

    def interrupt(self) -> None:
        """Stop the mesh in order, because Ctrl-C hit a handler, and let whoever runs it know."""
        self.was_interrupted = True
        if self.stop_at_once is not None:
            self.stop_at_once()

    def inspect(self, function: "Callable[[Inspector], Any]", sink: "Sink") -> None:
        """Let *sink* have what *function* says of the mesh as it is now; on the loop."""
        sink.set_result(attempt(lambda: function(self.inspector)))

    # -- statistics ----------------------------------------------------------------------------------------------------

    def tell_statistics(self, sink: "Sink") -> None:
        """Let *sink* have every counter as it is now."""
        sink.set_result(attempt(self.statistics))

    def statistics(self) -> MeshStatistics:
        """Return every counter as it is now; on the loop."""
        return statistics_of(self, self._gone)


def _after_fork_in_child() -> None:
    """No loop runs in a forked child, so no mesh does; every verb on one says so instead of waiting for ever."""
    for interior in list(_live):
        if interior.is_open:
            interior.is_open, interior.thread = False, -1
            interior.gateway.forget(
                f"it was started before fork() in process {os.getppid()}; start one in this process"
            )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
