"""Run what a model wants called: at the same time, in order, each answered, whatever happens.

Nothing a model writes ends a turn: what cannot be done is told to it, and counted. What does end it is the budget, the
mesh's stop, its own cancellation, and the hop limit: models told of that would go on calling one another, each as often
as it may.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import anyio
import anyio.lowlevel
import msgspec

from ceylon.agents.called import CallCounts, Calls
from ceylon.agents.callees import Callee, HandoffCallee, Scene
from ceylon.agents.toolbox import Toolbox
from ceylon.core.log import logger
from ceylon.errors import (
    ActionArgumentsError,
    ApprovalDeniedError,
    BudgetError,
    HandlerError,
    HopLimitError,
    MeshClosedError,
    StrayCancellationError,
    describe,
)
from ceylon.models.secret import redact
from ceylon.models.turns import Reply, ToolCall, ToolResult, ToolResultPart

__all__ = ["Caller"]

_NO_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_ENDS_THE_TURN: Final = (BudgetError, HopLimitError, MeshClosedError, KeyboardInterrupt)


class _NotCalledError(Exception):
    """A call that is answered with words only; `kind` is the counter it goes to."""

    def __init__(self, words: str, kind: str) -> None:
        super().__init__(words)
        self.kind = kind


class Caller:
    """The calls of one turn."""

    def __init__(self, toolbox: Toolbox, scene: Scene, counts: CallCounts) -> None:
        self._toolbox, self._scene, self._counts = toolbox, scene, counts
        self._settings = scene.context.interior.settings
        # Effects that were wanted, by id and name: their arguments, and what to say to one who wants the same again.
        self._effects: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}

    async def answer(self, calls: Calls) -> None:
        """Run *calls* and put down a result for each, in their order, as soon as it is there."""
        await _run_all(lambda index: self._answer_one(calls, index), len(calls.reply.calls))

    async def _answer_one(self, calls: Calls, index: int) -> None:
        call = calls.reply.calls[index]
        try:
            callee = self._callee(calls.reply, index)
            if callee.effect:
                result = await self._run_once(callee, call, calls.said[index])
            else:
                result = await self._run(callee, await self._admit(callee, call))
            kind = "failed" if result.is_error else "called"
        except _NotCalledError as error:
            kind, result = error.kind, ToolResult(call.id, call.name, str(error), is_error=True)
        calls.results[index] = result
        setattr(self._counts, kind, getattr(self._counts, kind) + 1)
        if kind != "called":
            context = self._scene.context
            context.interior.quiet_log.warning("call_failed", context.address, action=call.name[:64], why=kind)
        if self._scene.emit is not None:
            await self._scene.emit(ToolResultPart(result))

    async def _admit(self, callee: Callee, call: ToolCall) -> ToolCall:
        """Return *call* as it may run; its arguments have been looked at, by a person too if need be."""
        try:
            return await callee.admit(call, self._scene)
        except ActionArgumentsError as error:
            raise _NotCalledError(self._as_words(error), "invalid") from error
        except ApprovalDeniedError as error:
            raise _NotCalledError(self._as_words(error), "denied") from error

    def _callee(self, reply: Reply[Any], index: int) -> Callee:
        """Return what the call at *index* calls, if it may be called at all."""
        call = reply.calls[index]
        if index >= self._settings.model_calls:
            words = f"not called: no more than {self._settings.model_calls} calls in one answer"
            raise _NotCalledError(words, "surplus")
        if reply.finish == "length":
            words = "not called: your answer was cut off by its length limit; answer more briefly"
            raise _NotCalledError(words, "invalid")
        callee = self._toolbox.get(call.name)
        if callee is None:
            raise _NotCalledError(self._toolbox.unknown(call.name), "unknown")
        if call.invalid:
            words = f"not called: the arguments are no JSON object: {call.invalid[:200]}"
            raise _NotCalledError(words, "invalid")
        if isinstance(callee, HandoffCallee) and any(map(self._hands_over, reply.calls[:index])):
            words = "not called: a conversation goes to one agent; the first call decides"
            raise _NotCalledError(words, "surplus")
        return callee

    def _hands_over(self, call: ToolCall) -> bool:
        return isinstance(self._toolbox.get(call.name), HandoffCallee)

    async def _run_once(self, callee: Callee, call: ToolCall, said: ToolCall) -> ToolResult:
        """Run an effect, unless the same call has been made before; nothing cuts it off half-way.

        *said* is the call under the id that the model's server gave it: what comes twice has two ids of ours.
        """
        key = (said.id or call.id, call.name)
        if key in self._effects:
            before, text = self._effects[key]
            words = "not called: this id has been used" if before != call.arguments else text
            raise _NotCalledError(words, "repeated")
        self._effects[key] = (call.arguments, "not called again: it was not allowed, or not begun")
        admitted = await self._admit(callee, call)
        await anyio.lowlevel.checkpoint_if_cancelled()  # nothing may have been waited for since a stop
        result = ToolResult(call.id, call.name, "it was begun, and how it ended is not known", is_error=True)
        self._effects[key] = (call.arguments, f"not called again: {result.text}")
        with anyio.CancelScope(shield=callee.shielded):
            result = await self._run(callee, admitted)
        self._effects[key] = (call.arguments, result.text)
        return result

    async def _run(self, callee: Callee, call: ToolCall) -> ToolResult:
        """Run one call to its result, or to the words of its error."""
        seconds = self._settings.action_timeout
        try:
            context = self._scene.context
            with context.interior.pauses.clock(context, None if callee.effect else seconds):
                value = await _but_for_strays(call.name, callee.run(call, self._scene))
                return ToolResult(call.id, call.name, self._as_text(value))
        except _ENDS_THE_TURN:
            raise
        except ActionArgumentsError as error:
            raise _NotCalledError(self._as_words(error), "invalid") from error
        except ApprovalDeniedError as error:  # by the agent whose action it is
            raise _NotCalledError(self._as_words(error), "denied") from error
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # a user's code: nothing else that it raises ends the turn
            ending = _found_in(error, _ENDS_THE_TURN)
            if ending is not None:
                raise ending from error
            logger().debug("call_failed", action=call.name, exc_info=error)
            return ToolResult(call.id, call.name, self._as_words(_root(error)), is_error=True)
        words = f"it did not end within {seconds:g} s"
        raise _NotCalledError(words, "late")

    def _as_text(self, value: Any) -> str:
        """Return *value* as the model reads it: text as it is, everything else as JSON."""
        if isinstance(value, str):
            text = value
        else:
            try:
                text = msgspec.json.encode(value, enc_hook=_as_plain).decode()
            except _NO_JSON:
                text = str(value)
        text = text.encode(errors="replace").decode()  # no provider takes a lone surrogate
        most = self._settings.action_result
        return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters are left out)"

    def _as_words(self, error: BaseException) -> str:
        words = describe(error).encode(errors="replace").decode()
        return redact(words, limit=self._settings.action_error)


async def _run_all(run: Callable[[int], Awaitable[None]], number: int) -> None:
    """Run so many at the same time; the first that ends the turn cancels the others, and is raised itself."""
    first: list[BaseException] = []

    async def guarded(index: int) -> None:
        try:
            await run(index)
        except _ENDS_THE_TURN as error:
            first.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for index in range(number):
            tasks.start_soon(guarded, index)
    if first:
        raise first[0]


async def _but_for_strays(name: str, running: Awaitable[Any]) -> Any:
    """Await what runs; a cancellation that nobody asked for is its own mistake, and an error like any other."""
    try:
        return await running
    except BaseException as error:
        if _found_in(error, (anyio.get_cancelled_exc_class(),)) is None:
            raise
        await anyio.lowlevel.checkpoint_if_cancelled()  # goes on with one that somebody did ask for
    raise StrayCancellationError(name)


def _found_in(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """Return what *error* is, or holds, that is of one of *kinds*; an action may have run several things at a time."""
    root = _root(error)
    if isinstance(root, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", root)
        return next((found for each in group.exceptions if (found := _found_in(each, kinds)) is not None), None)
    return root if isinstance(root, kinds) else None


def _root(error: BaseException) -> BaseException:
    return error.root if isinstance(error, HandlerError) else error


def _as_plain(value: Any) -> Any:
    """Return what msgspec can encode for a pydantic model, which it does not know."""
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        message = f"{type(value).__name__} is no JSON"
        raise TypeError(message)
    return dump(mode="json")
