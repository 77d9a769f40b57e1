"""A model that plays prepared answers, for tests: no server, no key, no chance.

It keeps what it was asked, fails on a request nobody prepared, and on prepared answers nobody asked for.
"""

import inspect
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias, TypeGuard

import msgspec

from ceylon.errors import ModelError
from ceylon.models.draft import Draft
from ceylon.models.port import Abilities
from ceylon.models.turns import Part, Reply, ReplyPart, Request, TextPart, ThinkingPart, ToolCall, ToolCallPart

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["Answer", "ScriptError", "ScriptedModel", "Step"]


class _Event(Protocol):
    async def wait(self) -> Any: ...


Gate: TypeAlias = _Event | Callable[[], Awaitable[Any]]
"""What an answer waits for before it is given: an event, or a function to await."""

Answer: TypeAlias = (
    str
    | ToolCall
    | Reply[Any]
    | Exception
    | Sequence[str]
    | Sequence[ToolCall]
    | Sequence[Part]
    | Sequence[str | ToolCall | Part]
    | Callable[[Request], Any]
)
"""Text, a call, a whole reply, an error to raise, a list of texts, calls and parts, or a function of the request that
returns one of these."""


class ScriptError(ModelError, AssertionError):
    """The script and what happened differ."""


class Step:
    """One prepared answer, with what it waits for: a test opens the gate instead of sleeping."""

    def __init__(self, answer: Answer, *, gate: Gate | None = None) -> None:
        self.answer, self.gate = answer, gate


class ScriptedModel:
    """Plays *steps* in order, one a request, whichever session asks.

    As a context manager it checks at the end that every step was asked for and that nothing else was.
    """

    is_real: ClassVar[bool] = False  # see `ceylon.models.stand_ins`

    def __init__(
        self,
        steps: Iterable[Answer | Step] = (),
        *,
        name: str = "scripted::model",
        abilities: Abilities = Abilities(),  # noqa: B008 – frozen
    ) -> None:
        self._steps = deque(step if isinstance(step, Step) else Step(step) for step in steps)
        self._unexpected: list[Request] = []
        self.requests: list[Request] = []
        self.name = name
        self.abilities = abilities

    def add(self, *steps: Answer | Step) -> None:
        """Prepare more answers, behind the ones that wait."""
        self._steps.extend(step if isinstance(step, Step) else Step(step) for step in steps)

    def check(self) -> None:
        """Nothing can be wrong before the first request."""

    async def open(self, client: "HttpClient | None" = None) -> "_ScriptedSession":
        """Return a session that plays on where the others are."""
        del client  # nobody is called
        return _ScriptedSession(self)

    def next_step(self, request: Request) -> Step:
        """Note *request* and return the step prepared for it."""
        self.requests.append(request)
        try:
            return self._steps.popleft()
        except IndexError:
            self._unexpected.append(request)
            sentence = f"{self.name} has no answer left for {_last_words(request)}"
            raise ScriptError(sentence) from None

    def check_consumed(self) -> None:
        """Raise `ScriptError` if steps are left, or if a request came that had none and its error was swallowed."""
        if self._unexpected:
            asked = ", ".join(map(_last_words, self._unexpected[:3]))
            sentence = f"{self.name} was asked {len(self._unexpected)} times too often: {asked}"
            raise ScriptError(sentence)
        if self._steps:
            sentence = f"{self.name} has {len(self._steps)} answers left that nobody asked for"
            raise ScriptError(sentence)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.check_consumed()

    def __repr__(self) -> str:
        return f"<ScriptedModel {self.name!r} {len(self._steps)} answers left>"


class _ScriptedSession:
    """One of the sessions that share a script."""

    def __init__(self, model: ScriptedModel) -> None:
        self._model = model

    @property
    def abilities(self) -> Abilities:
        """See `Session`."""
        return self._model.abilities

    async def complete(self, request: Request) -> Reply:
        """Return the next prepared answer, whole."""
        answer = await self._play(request)
        return answer if _is_reply(answer) else _parts(answer, self._model.name)[1]

    async def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the next prepared answer: a list as it is, text word by word."""
        parts, reply = _parts(await self._play(request), self._model.name)
        for part in parts:
            yield part
        yield ReplyPart(reply)

    async def aclose(self) -> None:
        """Nothing to give back."""

    async def _play(self, request: Request) -> Any:
        """Return the next step's answer, its gate passed and its function called."""
        step = self._model.next_step(request)
        if step.gate is not None:
            await (step.gate() if callable(step.gate) else step.gate.wait())
        answer = step.answer
        if callable(answer):
            answer = answer(request)
            if inspect.isawaitable(answer):
                answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def _parts(answer: Any, name: str) -> tuple[list[Part], Reply[Any]]:
    """Return *answer* as the parts of a stream and as a whole."""
    if _is_reply(answer):
        return _parts_of_reply(answer), answer
    pieces = _words(answer) if isinstance(answer, str) else [answer] if isinstance(answer, ToolCall) else list(answer)
    draft = Draft()
    draft.model = name
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for piece in pieces:
        if isinstance(piece, ReplyPart):
            return parts, piece.reply
        if isinstance(piece, ToolCall | ToolCallPart):
            calls.append(piece.call if isinstance(piece, ToolCallPart) else piece)
            parts.append(ToolCallPart(calls[-1]))
            continue
        text = piece.text if isinstance(piece, TextPart) else piece if isinstance(piece, str) else ""
        parts += draft.add(text, piece.text if isinstance(piece, ThinkingPart) else "")
    reply = draft.reply()
    return parts, msgspec.structs.replace(reply, calls=tuple(calls), finish="tool") if calls else reply


def _is_reply(answer: Any) -> TypeGuard[Reply[Any]]:
    return isinstance(answer, Reply)


def _parts_of_reply(reply: Reply[Any]) -> list[Part]:
    thinking = [ThinkingPart(word) for word in _words(reply.thinking)]
    return [*thinking, *map(TextPart, _words(reply.text)), *map(ToolCallPart, reply.calls)]


def _words(text: str) -> list[str]:
    """Return *text* word by word; joined again they are the text."""
    return re.findall(r"\s*\S+|\s+$", text)


def _last_words(request: Request) -> str:
    return repr(request.turns[-1].text[:80]) if request.turns else "a request without turns"
