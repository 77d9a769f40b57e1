"""Other forms for a request that a server would not take as it is, and how the answer is read back from them."""

from typing import Protocol

import msgspec

from ceylon.models.call_pieces import unique_id
from ceylon.models.json_stream import ValueReader
from ceylon.models.schema_steps import step_request, with_system
from ceylon.models.step_reader import StepReader
from ceylon.models.turns import Part, Reply, Request, TextPart, Tool, ToolCallPart

__all__ = ["AskedToCall", "Form", "OutputByPrompt", "OutputByTool", "Steps"]


class Form(Protocol):
    """One request in another form, and the reader of its answer."""

    @property
    def request(self) -> Request:
        """What is sent instead."""
        ...

    def take(self, part: Part) -> list[Part]:
        """Take in a part of the answer that is not its last, and return what it comes to."""
        ...

    def end(self, reply: Reply) -> tuple[list[Part], Reply]:
        """Return what is left of the answer's parts, and the answer."""
        ...


class Steps:
    """Tools by a schema: each answer is one call, or the answer."""

    def __init__(self, request: Request) -> None:
        self._asked, self._reader = request, StepReader()
        self.request = step_request(request)

    def take(self, part: Part) -> list[Part]:
        """Give the answer's text as soon as it can be told from a call."""
        if isinstance(part, TextPart):
            return _text(self._reader.feed(part.text))
        return [part]

    def end(self, reply: Reply) -> tuple[list[Part], Reply]:
        """Return a call out of a complete answer only."""
        parts = _text(self._reader.finish())
        changes = {"text": self._reader.text, "native": None}
        call = self._reader.call if reply.finish == "stop" else None
        if call is None:
            return parts, msgspec.structs.replace(reply, **changes)
        earlier = {each.id for turn in self._asked.turns for each in turn.calls}
        call = msgspec.structs.replace(call, id=unique_id(earlier, len(earlier)))
        return [*parts, ToolCallPart(call)], msgspec.structs.replace(reply, **changes, calls=(call,), finish="tool")


class OutputByTool:
    """A schema as a tool: its arguments are the answer."""

    def __init__(self, request: Request) -> None:
        output = request.output
        if output is None:
            raise TypeError
        name = output.name
        while any(tool.name == name for tool in request.tools):
            name += "_answer"
        tool = Tool(name, output.description or "Give the answer. Call this when you know it.", output.schema)
        choice = {"auto": "required" if request.tools else name, "none": name}.get(request.tool_choice)
        tools = request.tools if choice is None else (*request.tools, tool)
        self._name = name
        self.request = msgspec.structs.replace(
            request, tools=tools, tool_choice=choice or request.tool_choice, output=None
        )

    def take(self, part: Part) -> list[Part]:
        """Hold back the words beside the calls: whether they are the answer is known at the end."""
        return [] if isinstance(part, TextPart | ToolCallPart) else [part]

    def end(self, reply: Reply) -> tuple[list[Part], Reply]:
        """Return the answer, unless the model wants other calls first; then it is asked again."""
        answers = [call for call in reply.calls if call.name == self._name]
        calls = tuple(call for call in reply.calls if call.name != self._name)
        if answers and not calls:
            text = answers[0].invalid or msgspec.json.encode(answers[0].arguments).decode()
            reply = msgspec.structs.replace(reply, text=text, finish="stop")
        if answers:
            reply = msgspec.structs.replace(reply, calls=calls, native=None)
        return [*_text(reply.text), *map(ToolCallPart, reply.calls)], reply


class OutputByPrompt:
    """A schema by being told: the answer is the first object in what the model writes."""

    def __init__(self, request: Request) -> None:
        output = request.output
        if output is None:
            raise TypeError
        words = (
            "Give your answer as one JSON object and nothing else: no words round it, no code fence. "
            f"It keeps to this JSON schema: {msgspec.json.encode(output.schema).decode()}"
        )
        self._reader, self._said = ValueReader(), list[str]()
        self.request = msgspec.structs.replace(request, turns=with_system(request.turns, words), output=None)

    def take(self, part: Part) -> list[Part]:
        """Leave out what stands round the object."""
        return self._say(self._reader.feed(part.text)[0]) if isinstance(part, TextPart) else [part]

    def end(self, reply: Reply) -> tuple[list[Part], Reply]:
        """Without any object, the text is what the model said."""
        parts = [] if self._reader.has_begun else self._say(reply.text)
        text = "".join(self._said)
        return parts, reply if text == reply.text else msgspec.structs.replace(reply, text=text, native=None)

    def _say(self, text: str) -> list[Part]:
        self._said.append(text)
        return _text(text)


class AskedToCall:
    """A choice of tools for a server that knows none, and no schemas: the others are left out, and it is told."""

    def __init__(self, request: Request) -> None:
        named = tuple(tool for tool in request.tools if tool.name == request.tool_choice)
        turns = with_system(request.turns, "Do not answer in words: call a tool.")
        self.request = msgspec.structs.replace(request, turns=turns, tools=named or request.tools, tool_choice="auto")

    def take(self, part: Part) -> list[Part]:
        """Pass it on."""
        return [part]

    def end(self, reply: Reply) -> tuple[list[Part], Reply]:
        """Pass it on."""
        return [], reply


def _text(text: str) -> list[Part]:
    return [TextPart(text)] if text else []
