"""ReAct: tools for a model that knows none, by thoughts, actions and observations in plain words.

The form is that of Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models" (2022).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from ceylon.models.react_reader import ReActReader
from ceylon.models.schema_steps import allowed_tools, in_words, with_system
from ceylon.models.turns import (
    Finish,
    OutputSchema,
    Part,
    Reply,
    Request,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    Turn,
)

__all__ = ["ReAct", "ReActForm"]

_PROMPT: Final = """\
You can use tools. Write one step at a time, in this form:

Thought: what you have to find out next
Action: the name of one tool
Action Input: its arguments, as one JSON object

Then stop. You will be given an Observation, which is what the tool says; never write one yourself.
When you know enough, write in this form instead:

Thought: what you know now
Final Answer: {answer}

The tools:
{tools}"""
_PLACE: Final = re.compile(r"\{(tools|answer)\}")
_PLAIN: Final = ("string", "integer", "number", "boolean")  # a kind may be a list, which no set takes
_ENDS_WELL: Final = frozenset({"stop", "tool"})


class ReAct(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent asks its model in the form of ReAct.

    Attributes:
        prompt: What the model is told of the form, behind the system prompt; ``{tools}`` and ``{answer}`` in it stand
            for the tools and for what the answer has to be.
        stop: Texts at which the server stops the model, so that it does not write observations; none for a server, or a
            fallback's, that refuses such texts. What it writes all the same is cut off.
    """

    prompt: str = _PROMPT
    stop: tuple[str, ...] = ("\nObservation:",)


class ReActForm:
    """See `Form`; a request without tools goes as it is, with earlier calls in words."""

    def __init__(self, request: Request, options: ReAct) -> None:
        self._earlier = {call.id for turn in request.turns for call in turn.calls}
        self._reader: ReActReader | None = None
        self._thinking: list[str] = []
        if request.tools and request.tool_choice != "none":
            self._reader = ReActReader(request.tools, is_json=request.output is not None)
            self.request = _react_request(request, options)
        else:
            self.request = msgspec.structs.replace(request, turns=in_words(request.turns))

    def take(self, part: Part) -> list[Part]:
        """Give thoughts, and the answer's text, as they come."""
        if self._reader is None:
            return [part]
        if isinstance(part, TextPart):
            return self._noted(self._reader.feed(part.text))
        if isinstance(part, ThinkingPart) and part.text:
            self._reader.go_on()
        return self._noted([part])

    def end(self, reply: Reply) -> tuple[list[Part], Reply]:
        """Return calls out of a complete answer only: one that the model has ended, or an observation of its own."""
        reader = self._reader
        if reader is None:
            return [], reply
        parts = self._noted(reader.finish())
        is_whole = reply.finish in _ENDS_WELL or (reply.finish == "length" and reader.is_cut)
        calls = reader.calls(self._earlier) if is_whole else ()
        finish: Finish = "tool" if calls else "stop" if is_whole else reply.finish
        thinking = "".join(self._thinking)
        reply = msgspec.structs.replace(
            reply, text=reader.answer, thinking=thinking, calls=calls, finish=finish, native=None
        )
        return [*parts, *map(ToolCallPart, calls)], reply

    def _noted(self, parts: list[Part]) -> list[Part]:
        """Return *parts*, whose thoughts are the reply's, with those that a reasoning model shows by itself."""
        self._thinking += (part.text for part in parts if isinstance(part, ThinkingPart))
        return parts


def _react_request(request: Request, options: ReAct) -> Request:
    tools, may_answer = allowed_tools(request), request.tool_choice == "auto"
    said = {"tools": _told(tools), "answer": _wanted(request.output)}
    words = _PLACE.sub(lambda found: said[found[1]], options.prompt)
    if not may_answer:
        words += "\nDo not give a Final Answer yet: use a tool first."
    return msgspec.structs.replace(
        request,
        turns=with_system(_in_form(request.turns), words),
        tools=(),
        tool_choice="auto",
        output=None,
        stop=tuple(dict.fromkeys((*request.stop, *options.stop))),
    )


def _told(tools: Iterable[Tool]) -> str:
    return "\n".join(f"- {tool.name}: {tool.description} Input: {_shape(tool.parameters)}" for tool in tools)


def _shape(parameters: dict[str, Any]) -> str:
    """Return what an input looks like: a small model that is shown a schema writes schemas itself."""
    if "$defs" in parameters:
        return _json(parameters)
    required = parameters.get("required", ())
    properties: dict[str, Any] = parameters.get("properties", {})
    shown = (f"{_json(name)}: {_kind(kind, name in required)}" for name, kind in properties.items())
    return f"{{{', '.join(shown)}}}"


def _kind(schema: Any, is_required: bool) -> str:  # noqa: FBT001 – a fact of the parameter
    """Return what one argument is: a plain type, a choice, or its schema."""
    kind, choice = schema.get("type"), schema.get("enum")
    shown = " or ".join(map(_json, choice)) if choice else kind if kind in _PLAIN else _json(schema)
    words = schema.get("description", "") if choice or kind in _PLAIN else ""
    notes = [*([words] if words else []), *([] if is_required else ["may be left out"])]
    return f"<{shown}{': ' if notes else ''}{'; '.join(notes)}>"


def _wanted(output: OutputSchema | None) -> str:
    if output is None:
        return "your answer to the question"
    return f"one JSON object and nothing else, which keeps to this JSON schema: {_json(output.schema)}"


def _in_form(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return *turns* as if all of them had been said in the form."""
    return tuple(_TELLERS[turn.role](turn) if turn.role in _TELLERS else turn for turn in turns)


def _said(turn: Turn) -> Turn:
    """Return what the model said; without calls it was an answer."""
    if not turn.calls:
        return Turn("assistant", f"{_thought(turn.thinking)}Final Answer: {turn.text}", attachments=turn.attachments)
    thought = "\n".join(filter(None, [turn.thinking, turn.text]))
    actions = (f"Action: {call.name}\nAction Input: {call.invalid or _json(call.arguments)}" for call in turn.calls)
    return Turn("assistant", _thought(thought) + "\n".join(actions), attachments=turn.attachments)


def _observed(turn: Turn) -> Turn:
    """Return what came of the calls; which came of which is said where there are several."""
    lines: list[str] = []
    for result in turn.results:
        of_which = f"{result.name}: " if len(turn.results) > 1 else ""
        lines.append(f"Observation: {of_which}{'Error: ' if result.is_error else ''}{result.text}")
    return Turn("user", "\n".join(lines), attachments=turn.attachments)


def _thought(thought: str) -> str:
    return f"Thought: {thought}\n" if thought else ""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


_TELLERS: Final = {"assistant": _said, "tool": _observed}
