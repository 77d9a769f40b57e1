"""Give ready agents a worker, one message at a time each.

Idle agents own no task. A worker is a task that takes agents from the ready queue, runs up to a batch of messages of
each and gives the loop a checkpoint in between. While a handler waits, its worker waits with it, and another one is
woken: there is no cap, because a capped pool of handlers that ask each other is a deadlock of its own.

The invariant: while agents are ready, something on the loop is going to look at them: they are covered. That is a
worker that has been woken, a worker that gives way for a moment, or the watch, a callback that is set while a worker is
in a stretch: control coming back to the loop meanwhile means that the worker's handler waits. A stretch that begins
with nobody else ready sets no watch; whoever makes an agent ready meanwhile does, or, if it is an ask and so about to
wait itself, wakes a worker right away.
"""

import contextlib
import contextvars
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon.core.context import Context
from ceylon.core.current import current
from ceylon.core.generators import settle_lazy
from ceylon.core.handlers import Handler, Refusal, make_handler
from ceylon.core.invocation import LAZY, as_asker_sees, invoke, invoke_in_time
from ceylon.core.leases import EXPIRED, UNBEGUN
from ceylon.core.ledger import KeptName, Reason
from ceylon.core.log import logger
from ceylon.core.ordered import Ordered
from ceylon.errors import HandlerTimeoutError, StrayCancellationError, UnhandledMessageError, describe
from ceylon.messages import STREAM, TELL, ActionCall, Outcome, type_name

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Future, Task
    from ceylon.core.calls import AskCall
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.leases import Lease
    from ceylon.core.limits import HandlerLimit
    from ceylon.core.timers import Timer
    from ceylon.core.watchdog import Watchdog
    from ceylon.messages import Envelope

__all__ = ["Dispatcher", "Worker"]

_copy_context = contextvars.copy_context
_set_current = current.set

# Whether something is going to look at the ready agents:
_NOT: Final = 0  # nothing
_STRETCH: Final = 1  # a worker, unless the handler waits that it runs just now; no watch would notice
_SURE: Final = 2


class Worker:
    """One task of the pool, and what it is doing."""

    __slots__ = ("context", "is_cancelling", "is_given_up", "parked", "task")

    def __init__(self, task: "Task") -> None:
        self.task = task
        self.context: Context | None = None  # of the handler under way
        self.is_cancelling = False  # by the mesh: a cancellation from elsewhere is a failure
        self.is_given_up = False  # the handler ignored that, and its outcome is counted already
        self.parked: Future | None = None


class Dispatcher:
    """The ready queue and the workers of one mesh."""

    def __init__(self, interior: "Interior", driver: "Driver") -> None:
        self._interior = interior
        self._driver = driver
        self._now = driver.now
        self._router = interior.router
        self._threads = interior.threads
        self._batch = interior.settings.batch_messages
        self._keep_idle = interior.settings.idle_workers
        self._threads_per_agent = interior.settings.threads_per_agent
        self._ready: deque[Cell] = interior.instruments.ready()
        self._idle: list[Worker] = []
        self._workers: Ordered[Worker] = Ordered()
        self.cover = _NOT
        self._is_watching = False
        self._giving_way = 0
        self._is_closed = False
        self._held = _SURE  # what `cover` was before the ask that is about to be delivered, if one is
        self.limits: dict[int, HandlerLimit] = {}  # by envelope id, while the handler is under way
        self.abandoned = 0  # handlers that ignored their cancellation
        self.watchdog: Watchdog | None = None
        self._is_tapped = type(self)._begins is not _BEGINS  # noqa: SLF001 – its own class's
        self.is_unseen = False  # the watchdog, if there is one, has not heard of a message since it last looked

    @property
    def worker_count(self) -> int:
        """How many workers there are, busy or parked."""
        return len(self._workers)

    @property
    def is_busy(self) -> bool:
        """Whether a worker runs, or is about to, just now."""
        return self.cover != _NOT or bool(self._ready)

    # -- ready agents --------------------------------------------------------------------------------------------------

    def offer(self, cell: "Cell") -> None:
        """Let a worker look at *cell*, which has mail and perhaps a free slot."""
        if not cell.is_listed and cell.running < cell.slots and cell.state.handles_mail:
            cell.is_listed = True
            self._ready.append(cell)
            if self.cover != _SURE:
                self._cover()

    def begin_ask(self) -> bool:
        """Hold back the worker that the next envelope would wake; say no if one is on its way.

        After a yes `end_ask` must follow, or `give_up_ask`.
        """
        if self.cover == _SURE:
            return False
        self._held, self.cover = self.cover, _SURE
        return True

    def end_ask(self, call: "AskCall") -> None:
        """Let a worker look at whoever has mail by now, on the asker's stack if it may: two turns less.

        An asker that has no answer then is going to wait, so its own stretch is over.
        """
        held, self._held, self.cover = self._held, _SURE, _NOT
        if not self._ready:
            return
        if self._idle:
            if self.is_unseen:
                self._be_seen()
            worker = self._idle.pop()
            if worker.task.step():
                if self._ready and worker.task.is_following():
                    self.cover = _SURE
                elif not self._is_watching and not self._giving_way:
                    self.cover = held if call.is_settled else _NOT
                    if self._ready:
                        self._wake()
                return
            self._idle.append(worker)
        self._wake()

    def give_up_ask(self) -> None:
        """Hold nothing back any more: the envelope was refused, or something unheard-of has happened."""
        if self._held != _SURE:
            self._held, self.cover = _SURE, _NOT
            if self._ready:
                self._wake()

    def _cover(self) -> None:
        """See to it that somebody looks at the ready agents."""
        if self.cover == _STRETCH:
            self._watch_soon()
        else:
            self._wake()

    def _wake(self) -> None:
        """Wake a worker, or start one."""
        self.cover = _SURE
        if self.is_unseen:
            self._be_seen()
        if self._idle:
            parked = self._idle.pop().parked
            if parked is not None and not parked.done():
                parked.set_result(None)
        elif not self._is_closed:
            self._driver.spawn(self._work, "ceylon worker")

    def _be_seen(self) -> None:
        """Let the watchdog hear that messages are handled."""
        if self.watchdog is not None:
            self.is_unseen = False
            self.watchdog.wake()

    def _watch_soon(self) -> None:
        """Look again when control is back on the loop."""
        self.cover = _SURE
        self._is_watching = True
        self._driver.call_soon(self._watch)

    def _watch(self) -> None:
        """Control is back on the loop: whoever had begun a stretch waits in a handler, gives way, or has parked."""
        self._is_watching = False
        if not self._giving_way:
            self.cover = _NOT
            if self._ready:
                self._wake()

    # -- workers -------------------------------------------------------------------------------------------------------

    async def _work(self, task: "Task") -> None:
        """Serve ready agents; a worker's whole life. It ends when it is one too many, or a handler left its mark."""
        worker = Worker(task)
        self._workers.add(worker)
        try:
            with task.life():
                try:
                    await self._serve_all(worker)
                except Exception as error:  # noqa: BLE001 – a mistake of ours
                    logger().critical("worker_failed", exc_info=error)
                await task.tidy()
        except BaseException:  # noqa: BLE001, S110 – leaving a spoilt scope may raise; another worker takes over
            pass
        finally:
            current.set(None)  # the loop may keep the task's variables for a while
            self._workers.discard(worker)
            if worker in self._idle:  # cancelled while parked: the loop is ending
                self._idle.remove(worker)
            with contextlib.suppress(BaseException):  # as above
                await task.leave_step()
            if not self._is_watching and not self._giving_way:
                self.cover = _NOT
                if self._ready:
                    self._wake()

    async def _serve_all(self, worker: Worker) -> None:
        ready, idle = self._ready, self._idle
        budget = self._batch
        while True:
            if not ready:
                if not self._is_watching and not self._giving_way:
                    self.cover = _NOT
                if len(idle) >= self._keep_idle:
                    return  # there are enough who wait
                current.set(None)  # nor does one that is parked keep the last message alive
                parked = worker.parked = worker.task.parking()
                idle.append(worker)
                await parked
                if self._is_closed:
                    return
                budget = self._batch
                continue
            cell = ready.popleft()
            cell.is_listed = False
            if self._is_watching:
                self.cover = _SURE
            elif ready:
                self._watch_soon()
            else:
                self.cover = _STRETCH
            served = await self._serve(worker, cell)
            del cell  # as above
            if served < 0:
                return
            budget -= served + 1
            if budget <= 0:
                budget = self._batch
                self._giving_way += 1
                try:
                    await self._driver.checkpoint()
                finally:
                    self._giving_way -= 1

    async def _serve(  # noqa: C901, PLR0911, PLR0912, PLR0915 – the road of every message; each call less is 5 % of a tell
        self, worker: Worker, cell: "Cell", lazy: "tuple[Handler, Envelope] | None" = None
    ) -> int:
        """Handle up to a batch of *cell*'s envelopes; return how many, or -1 when this worker must not go on.

        Args:
            worker: The task that does it, this one.
            cell: The agent's place.
            lazy: What to begin with: an envelope that a thread has taken, and what its handler left to be done here.
        """
        router, found, keeps_keys = self._router, cell.behaviour.found, cell.keeps_keys
        open_envelopes, remember = router.open, router.endings.completed
        is_clean, is_tapped = worker.task.is_clean, self._is_tapped
        if lazy is None and cell.running >= cell.slots:
            return 0
        message_type: type[Any]
        for served in range(self._batch if lazy is None else 1):
            if lazy is None:
                mail = cell.mail
                if not mail:
                    if cell.is_thrifty and not cell.leases:
                        cell.rest()
                    return served
                if not cell.state.handles_mail or (keeps_keys and cell.running >= cell.slots):
                    return served
                if keeps_keys and (cell.busy_keys or cell.loans):
                    envelope = cell.take_allowed()
                    if envelope is None:
                        return served
                else:
                    envelope = mail.popleft()
                    if cell.parked:
                        cell.admit()
                deadline = envelope.deadline
                if deadline is not None and deadline <= self._now():
                    self._expire(cell, envelope)
                    continue
                kind = envelope.kind
                message_type = envelope.message.__class__
                handler = found.get(message_type) if envelope.topic is None else None
                if handler is None:
                    try:
                        handler = cell.behaviour.find(envelope)
                    except Refusal as refusal:
                        self._refuse(cell, envelope, refusal)
                        continue
                if handler.threaded and not handler.yields and kind is not STREAM:
                    if not self._lease(cell, handler, envelope) or not keeps_keys:
                        return served
                    continue
            else:
                (handler, envelope), lazy = lazy, None
                kind = envelope.kind
                message_type = envelope.message.__class__
                cell.running -= 1  # which is given back here at once
            if is_tapped:
                handler = self._begins(cell, handler, envelope)
            cell.running += 1
            key = self._occupy(cell, envelope) if keeps_keys else None
            context = worker.context = Context(self._interior, cell, envelope, worker)
            number, under_way = envelope.id, cell.under_way
            if under_way is None:
                under_way = cell.under_way = {}
            under_way[number] = context
            _set_current(context)
            before = _copy_context()
            try:
                if handler.direct and kind is not STREAM:
                    if handler.takes_context:
                        value = await handler.function(cell.agent, envelope.message, context)
                    else:
                        value = await handler.function(cell.agent, envelope.message)
                    if value is not None and type(value) in LAZY:
                        value = await settle_lazy(value, context, self._threads, threaded=False)
                else:
                    run_to_end = invoke if cell.options.handler_timeout is None else invoke_in_time
                    value = await run_to_end(handler, context, self._threads)
            except BaseException as error:  # noqa: BLE001 – the one boundary: nothing a handler raises passes it
                if isinstance(error, self._driver.cancellation):
                    self._interior.close_if_loop_ends()
                worker.context = None
                if worker.is_given_up:
                    return -1
                del under_way[number]
                self._leave(cell, key)
                self._caught(worker, context, error)
            else:
                worker.context = None
                if worker.is_given_up:
                    return -1
                del under_way[number]
                if keeps_keys or cell.slots > 1 or not cell.state.handles_mail:
                    self._leave(cell, key)
                else:
                    cell.running -= 1
                cell.completed += 1
                if kind is not TELL and not context.has_replied:
                    router.reply(envelope, Outcome(value))
                try:  # `_completed`, a call less
                    del open_envelopes[number]
                except KeyError:
                    router.ended(envelope, "completed")
                else:
                    envelope.message = message_type if message_type is not ActionCall else _kept(envelope)
                    remember(envelope)
                    if not open_envelopes and (router.is_awaited or router.on_quiet is not None):
                        router.tell_quiet()
            if is_tapped:
                self._ends(envelope)
            if worker.is_cancelling or not is_clean() or _copy_context() != before:
                self._look_again(cell)
                return -1
        self._look_again(cell)
        return self._batch

    def _look_again(self, cell: "Cell") -> None:
        """See to it that somebody looks at *cell* again, or let it rest."""
        if cell.mail:
            self.offer(cell)
        elif cell.is_thrifty and not cell.leases:
            cell.rest()

    def _completed(self, envelope: "Envelope") -> None:
        """Do what `Router.ended` does, for the commonest end; the ring keeps the message's type, not the message."""
        router = self._router
        if router.open.pop(envelope.id, None) is not envelope:
            router.ended(envelope, "completed")
            return
        message_type: type[Any] = envelope.message.__class__
        envelope.message = message_type if message_type is not ActionCall else _kept(envelope)
        router.endings.completed(envelope)
        if not router.open and (router.is_awaited or router.on_quiet is not None):
            router.tell_quiet()

    # What `ceylon.testing` overrides to see, or to change, what is handled on the loop.

    def _begins(self, cell: "Cell", handler: Handler, envelope: "Envelope") -> Handler:  # noqa: ARG002 – as above
        """Return the handler to run for *envelope*."""
        return handler

    def _ends(self, envelope: "Envelope") -> None:
        """Take note that the handler of *envelope* has ended, and that what came of it has been said."""

    def _occupy(self, cell: "Cell", envelope: "Envelope") -> Any:
        """Note the conversation, if agents have such, and let another worker use the slots that are left."""
        key = cell.agent.__ceylon_serial_key__(envelope) if not cell.has_lent_key(envelope) else None
        if key is not None:
            if cell.busy_keys is None:
                cell.busy_keys = {}
            cell.busy_keys[key] = envelope.id
        if cell.mail:
            self.offer(cell)
        return key

    def _leave(self, cell: "Cell", key: Any) -> None:
        cell.running -= 1
        if key is not None and cell.busy_keys is not None:
            cell.busy_keys.pop(key, None)
        if not cell.state.handles_mail:
            self._interior.lifecycle.settled(cell)
        elif cell.mail and not cell.is_listed and cell.slots > 1:
            self.offer(cell)

    # -- outcomes ------------------------------------------------------------------------------------------------------

    def _caught(self, worker: Worker, context: Context, error: BaseException) -> None:
        """Say what a handler's exception means: the mesh's own cancellation, or a failure."""
        cell, envelope = context.cell, context.envelope
        if isinstance(error, self._driver.cancellation):
            if worker.is_cancelling:
                self._cancelled(cell, envelope)
                return
            stray = StrayCancellationError(cell.address)
            stray.__cause__ = error
            error = stray
        self.failed(cell, envelope, error, has_replied=context.has_replied)

    def failed(self, cell: "Cell", envelope: "Envelope", error: BaseException, *, has_replied: bool = False) -> None:
        """Count *envelope* as failed, tell the asker or the log, and let the supervisor decide."""
        cell.failed += 1
        if envelope.kind is TELL:
            self._interior.report_failed_tell(cell, envelope, error)
        elif not has_replied:
            self._router.reply(envelope, Outcome(error=as_asker_sees(error, envelope, cell.address)))
        self._router.ended(envelope, "failed", describe(error))
        if isinstance(error, KeyboardInterrupt):
            self._interior.interrupt()
        elif not isinstance(error, Refusal):
            self._interior.failures.supervise(cell, envelope, error)

    def _cancelled(self, cell: "Cell", envelope: "Envelope") -> None:
        cell.cancelled += 1
        if envelope.kind is not TELL and envelope.id in self._router.calls:
            self._router.reply(envelope, Outcome(error=self._interior.why_cancelled(cell)))
        self._router.ended(envelope, "cancelled")

    def _expire(self, cell: "Cell", envelope: "Envelope") -> None:
        """Do not handle what nobody waits for any more; the deadline's timer tells the asker."""
        cell.expired += 1
        self._router.ended(envelope, "expired")

    def _refuse(self, cell: "Cell", envelope: "Envelope", refusal: Refusal) -> None:
        """End an envelope that no handler takes."""
        error = refusal.error
        if isinstance(error, UnhandledMessageError):
            if envelope.kind is TELL:
                self._interior.report_unhandled(cell, error)
            self._router.bounce(envelope, cell, Reason.UNHANDLED, error)
        else:
            self.failed(cell, envelope, refusal)

    def answered(self, cell: "Cell", envelope: "Envelope", outcome: Outcome) -> None:
        """End an envelope that is still in the mailbox: another handler of the agent has answered it with *outcome*."""
        if not cell.discard(envelope):  # whoever asked has left
            return
        if outcome.error is None:
            cell.completed += 1
        else:
            cell.failed += 1
        if envelope.kind is not TELL:
            self._router.reply(envelope, outcome)
        self._router.ended(envelope, "completed" if outcome.error is None else "failed")

    # -- leases --------------------------------------------------------------------------------------------------------

    def _lease(self, cell: "Cell", handler: Handler, envelope: "Envelope") -> bool:
        """Give *cell* to a thread; say no, and put *envelope* back, if it has as many as an agent may have."""
        if cell.leases and sum(not lease.is_blocked for lease in cell.leases) >= self._threads_per_agent:
            cell.mail.appendleft(envelope)  # type: ignore[union-attr]
            return False
        self._threads.lease(cell, handler, envelope)
        return True

    def lease_reported(
        self, lease: "Lease", envelope: "Envelope", outcome: Outcome, *, has_replied: bool = False
    ) -> None:
        """Take over how one leased envelope ended."""
        if lease.is_abandoned:
            return
        lease.report()
        cell = lease.cell
        if outcome is UNBEGUN:
            cell.mail.appendleft(envelope)  # type: ignore[union-attr]
            return
        if cell.parked:
            cell.admit()
        if outcome is EXPIRED:
            self._expire(cell, envelope)
        elif outcome.error is not None:
            self.failed(cell, envelope, outcome.error, has_replied=has_replied)
        elif type(outcome.value) in LAZY:
            cell.running += 1  # the slot stays taken; the lease, which ends now, gives back its own
            self._driver.spawn(lambda task: self._finish_lazy(task, cell, envelope, outcome.value), "ceylon result")
        else:
            cell.completed += 1
            if envelope.kind is not TELL and not has_replied:
                self._router.reply(envelope, outcome)
            self._completed(envelope)

    async def _finish_lazy(self, task: "Task", cell: "Cell", envelope: "Envelope", value: Any) -> None:
        """Run what a sync handler returned unfinished: a coroutine or a generator."""
        worker = Worker(task)
        self._workers.add(worker)
        try:
            with task.life():
                try:
                    await self._serve(worker, cell, (_finished(value), envelope))
                except Exception as error:  # noqa: BLE001 – as in _work
                    logger().critical("worker_failed", exc_info=error)
        except BaseException:  # noqa: BLE001, S110 – as in _work
            pass
        finally:
            self._workers.discard(worker)
            if cell.mail:
                self.offer(cell)

    def hear_threads(self) -> None:
        """Take over what threads have done and have not been heard of yet."""
        self._threads.flush()

    def lease_ended(self, lease: "Lease") -> None:
        """Let the dispatcher have the agent again."""
        if lease.is_abandoned:
            return
        if lease.limit is not None:
            self.cancel_timer(lease.limit)
        self._end_lease(lease)
        self._settle_lease(lease.cell)

    @staticmethod
    def _end_lease(lease: "Lease") -> None:
        cell = lease.cell
        if cell.leases is not None:
            cell.leases.remove(lease)
        cell.running -= 1

    def _settle_lease(self, cell: "Cell") -> None:
        if not cell.state.handles_mail:
            self._interior.lifecycle.settled(cell)
        elif cell.mail:
            self.offer(cell)
        elif cell.is_thrifty and not cell.leases:
            cell.rest()

    # -- handlers that take too long -----------------------------------------------------------------------------------

    def set_timer(self, seconds: float, timer: "Timer") -> None:
        """Let *timer* fire in *seconds*."""
        self._interior.timers.add(self._now() + seconds, timer)

    def cancel_timer(self, timer: "Timer") -> None:
        """Do not let it."""
        self._interior.timers.cancel(timer)

    def overran(self, context: Context) -> float:
        """Cancel a handler whose time is over; return the seconds it has to end."""
        if context.worker is not None:
            self._cancel(context.worker)
        return self._interior.settings.stop_grace

    def give_up_handler(self, context: Context, error: HandlerTimeoutError) -> None:
        """Count a handler as failed that ignores its cancellation, and let the agent go on without it."""
        cell, envelope, worker = context.cell, context.envelope, context.worker
        if worker is None or worker.is_given_up:
            return
        error.still_runs = True
        self._disown(worker, cell)
        if cell.under_way is not None:
            cell.under_way.pop(envelope.id, None)
        self._leave(cell, self._key_left(cell, envelope) if cell.keeps_keys else None)
        self.failed(cell, envelope, error, has_replied=context.has_replied)
        self._look_again(cell)

    @staticmethod
    def _key_left(cell: "Cell", envelope: "Envelope") -> Any:
        """Return the conversation that the handler of *envelope* held."""
        key = cell.agent.__ceylon_serial_key__(envelope)
        return key if (cell.busy_keys or {}).get(key) == envelope.id else None

    def seconds_left(self, lease: "Lease", seconds: float) -> float | None:
        """Return how much of *seconds* is left to what *lease* handles now; `None`: the lease has ended."""
        self._threads.flush()  # what has ended in time counts first
        if lease.cell.leases is None or lease not in lease.cell.leases:
            return None
        return lease.seconds_left(seconds, self._now())

    def give_up_lease(self, lease: "Lease", error: HandlerTimeoutError) -> None:
        """Count what a thread handles as failed, and leave the thread to itself."""
        cell, envelope, context = lease.cell, lease.envelope, lease.context
        self._end_lease(lease)
        self._threads.let_go(lease)
        self._interior.quiet_log.warning("thread_abandoned", cell.address)
        if context is not None:
            self.failed(cell, envelope, error, has_replied=context.has_replied)
        self._settle_lease(cell)

    # -- cancelling ----------------------------------------------------------------------------------------------------

    def abandon(self, envelope: "Envelope", cell: "Cell") -> None:
        """Cancel the handler of *envelope*, which nobody waits for any more, unless it is to run to its end."""
        context = cell.invocation(envelope.id)
        worker = context.worker if context is not None else None
        if worker is None or self._threads.runs_for(context):  # in a thread, which nothing can cancel
            return
        if not self.is_shielded(envelope, cell) or self._interior.pauses.is_asking(envelope.id):
            self._cancel(worker)

    @staticmethod
    def is_shielded(envelope: "Envelope", cell: "Cell") -> bool:
        """Say whether the handler of *envelope* runs to its end in any case."""
        try:
            return cell.behaviour.find(envelope).shielded
        except Refusal:
            return False

    def cancel_handlers(self, cell: "Cell | None" = None) -> None:
        """Cancel what runs on the loop: every handler, or those of *cell*."""
        for worker in list(self._workers):
            if worker.context is not None and (cell is None or worker.context.cell is cell):
                self._cancel(worker)

    def give_up(self, cell: "Cell") -> list["Envelope"]:
        """Forget the handlers of *cell* that ignore their cancellation; return their envelopes."""
        given_up: list[Envelope] = []
        for context in (cell.under_way or {}).values():
            if context.worker is not None:
                self._disown(context.worker, cell)
            if (limit := self.limits.get(context.envelope.id)) is not None:
                limit.end()
            cell.running -= 1
            given_up.append(context.envelope)
        cell.under_way = None
        return given_up

    def _disown(self, worker: Worker, cell: "Cell") -> None:
        """Leave a handler to itself that ignores its cancellation: it has no envelope any more, and no slot."""
        worker.is_given_up = True
        self.abandoned += 1
        if self._interior.is_open:
            worker.task.disown()
            self._interior.quiet_log.warning("handler_abandoned", cell.address)

    def _cancel(self, worker: Worker) -> None:
        if not worker.is_cancelling:
            worker.is_cancelling = True
            worker.task.cancel()

    def close(self) -> None:
        """Let the workers end; handlers under way are given up."""
        self._is_closed = True
        self._keep_idle = 0
        for worker in list(self._workers):
            if worker.context is not None:
                self._cancel(worker)
        while self._idle:
            parked = self._idle.pop().parked
            if parked is not None and not parked.done():
                parked.set_result(None)


def _kept(envelope: "Envelope") -> KeptName:
    """Return what the ring keeps of an action that is over: its name."""
    return KeptName(type_name(envelope.message))


def _finished(value: Any) -> Handler:
    """Return a handler that has run already, in a thread, and returned *value*."""

    def finished(_: object, __: object) -> Any:
        return value

    made = make_handler(finished, inline=False, name="result")
    return msgspec.structs.replace(made, yields=True)


_BEGINS: Final = Dispatcher._begins  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – its own module; no message pays for a tap that nobody has put there
