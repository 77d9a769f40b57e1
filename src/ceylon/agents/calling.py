"""Run what a model wants called: at the same time, in order, each answered, whatever happens.

Nothing a model writes ends a turn: what cannot be done is told to it, and counted. What does end it is the budget, the
mesh's stop, its own cancellation, and the hop limit: models told of that would go on calling one another, each as often
as it may.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio
import anyio.lowlevel
import msgspec

from ceylon.agents.callees import Callee, Scene
from ceylon.agents.toolbox import Toolbox
from ceylon.core.log import logger
from ceylon.errors import (
    ActionArgumentsError,
    BudgetError,
    HandlerError,
    HopLimitError,
    MeshClosedError,
    StrayCancellationError,
    describe,
)
from ceylon.models.secret import redact
from ceylon.models.turns import Reply, ToolCall, ToolResult, ToolResultPart

__all__ = ["CallCounts", "Caller", "with_ids"]

_NO_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_ENDS_THE_TURN: Final = (BudgetError, HopLimitError, MeshClosedError)


class CallCounts(msgspec.Struct):
    """What became of the calls of an agent's model, since the agent was made.

    `called` counts those that ran to a result. `unknown`, `invalid` (arguments) and `surplus` ones were never run,
    `failed` raised, `late` took too long, `repeated` ones had the id of an effect that had been run.
    """

    called: int = 0
    unknown: int = 0
    invalid: int = 0
    surplus: int = 0
    failed: int = 0
    late: int = 0
    repeated: int = 0


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
        self._effects: dict[tuple[str, str], tuple[ToolCall, ToolResult]] = {}  # those that were begun

    async def answer(self, reply: Reply[Any]) -> tuple[ToolResult, ...]:
        """Run the calls of *reply* and return a result for each, in their order."""
        calls = reply.calls
        results: list[ToolResult | None] = [None] * len(calls)

        async def run(index: int) -> None:
            results[index] = await self._answer_one(calls[index], index, is_cut=reply.finish == "length")

        await _run_all(run, len(calls))
        return tuple(result for result in results if result is not None)

    async def _answer_one(self, call: ToolCall, index: int, *, is_cut: bool) -> ToolResult:
        try:
            callee = self._callee(call, index, is_cut=is_cut)
            result = await (self._run_once if callee.effect else self._run)(callee, call)
            kind = "failed" if result.is_error else "called"
        except _NotCalledError as error:
            kind, result = error.kind, ToolResult(call.id, call.name, str(error), is_error=True)
        setattr(self._counts, kind, getattr(self._counts, kind) + 1)
        if kind != "called":
            context = self._scene.context
            context.interior.quiet_log.warning("call_failed", context.address, action=call.name[:64], why=kind)
        if self._scene.emit is not None:
            await self._scene.emit(ToolResultPart(result))
        return result

    def _callee(self, call: ToolCall, index: int, *, is_cut: bool) -> Callee:
        """Return what *call* calls, if it may be called at all."""
        if index >= self._settings.model_calls:
            words = f"not called: no more than {self._settings.model_calls} calls in one answer"
            raise _NotCalledError(words, "surplus")
        if is_cut:
            words = "not called: your answer was cut off by its length limit; answer more briefly"
            raise _NotCalledError(words, "invalid")
        callee = self._toolbox.get(call.name)
        if callee is None:
            raise _NotCalledError(self._toolbox.unknown(call.name), "unknown")
        if call.invalid:
            words = f"not called: the arguments are no JSON object: {call.invalid[:200]}"
            raise _NotCalledError(words, "invalid")
        return callee

    async def _run_once(self, callee: Callee, call: ToolCall) -> ToolResult:
        """Run an effect, unless the same call has been made before; nothing cuts it off half-way."""
        key = (call.id, call.name)
        if key in self._effects:
            before, result = self._effects[key]
            words = "not called: this id has been used" if before != call else result.text
            raise _NotCalledError(words, "repeated")
        result = ToolResult(call.id, call.name, "it was begun, and how it ended is not known", is_error=True)
        self._effects[key] = (call, result)
        with anyio.CancelScope(shield=True):
            result = await self._run(callee, call)
        self._effects[key] = (call, result)
        return result

    async def _run(self, callee: Callee, call: ToolCall) -> ToolResult:
        """Run one call to its result, or to the words of its error."""
        seconds = self._settings.action_timeout
        try:
            with anyio.move_on_after(None if callee.effect else seconds):
                value = await _but_for_strays(call.name, callee.run(call, self._scene))
                return ToolResult(call.id, call.name, self._as_text(value))
        except _ENDS_THE_TURN:
            raise
        except ActionArgumentsError as error:
            raise _NotCalledError(self._as_words(error), "invalid") from error
        except (Exception, SystemExit, GeneratorExit) as error:
            root = error.root if isinstance(error, HandlerError) else error
            if isinstance(root, _ENDS_THE_TURN):
                raise root from error
            logger().debug("call_failed", action=call.name, exc_info=error)
            return ToolResult(call.id, call.name, self._as_words(root), is_error=True)
        words = f"it did not end within {seconds:g} s"
        raise _NotCalledError(words, "late")

    def _as_text(self, value: Any) -> str:
        """Return *value* as the model reads it: text as it is, everything else as JSON."""
        if isinstance(value, str):
            text = value
        else:
            try:
                text = msgspec.json.encode(value).decode()
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
    except anyio.get_cancelled_exc_class():
        await anyio.lowlevel.checkpoint_if_cancelled()  # goes on with one that somebody did ask for
    raise StrayCancellationError(name)


def with_ids(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Return *calls* with ids that differ: a result has to find its call."""
    seen: set[str] = set()
    unique: list[ToolCall] = []
    for number, call in enumerate(calls):
        name = call.id if call.id and call.id not in seen else f"{call.id or 'call'}_{number}"
        seen.add(name)
        unique.append(call if name == call.id else msgspec.structs.replace(call, id=name))
    return tuple(unique)
