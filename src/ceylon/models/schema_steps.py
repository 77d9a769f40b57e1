"""Tools for a model that knows none: a schema of what it may write next, and the conversation in words it knows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard, cast

import msgspec

from ceylon.models.step_reader import ANSWER, ARGUMENTS, TOOL
from ceylon.models.turns import OutputSchema, Request, Tool, Turn

__all__ = ["allowed_tools", "in_words", "step_request", "with_system"]

_STEP: Final = "step"
_GO_ON: Final = "If you know enough, write your answer now."  # without it the tiny embedded model calls for ever
_TEXT: Final = {"type": "string"}


def step_request(request: Request) -> Request:
    """Return *request* without tools: the answer is a step, one call or the answer, and its schema says so."""
    tools = allowed_tools(request)
    may_answer = request.tool_choice == "auto"
    steps = [_call_schema(tool) for tool in tools]
    if may_answer:
        steps.append(_closed({ANSWER: _TEXT if request.output is None else _hoisted(request.output.schema, ANSWER)}))
    schemas = {f"{TOOL}-{tool.name}": tool.parameters for tool in tools}
    if may_answer and request.output is not None:
        schemas[ANSWER] = request.output.schema
    definitions = _definitions(schemas)
    schema = steps[0] if len(steps) == 1 else {"type": "object", "anyOf": steps}
    if definitions:
        schema = {**schema, "$defs": definitions}
    turns = with_system(in_words(request.turns), _instructions(tools, request.output, may_answer=may_answer))
    return msgspec.structs.replace(
        request, turns=turns, tools=(), tool_choice="auto", output=OutputSchema(_STEP, schema)
    )


def in_words(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return *turns* with their calls and results as text, for models that take neither."""
    told = [_in_words(turn) if turn.calls or turn.role == "tool" else turn for turn in turns]
    if turns and turns[-1].role == "tool":
        told[-1] = msgspec.structs.replace(told[-1], text=f"{told[-1].text}\n{_GO_ON}")
    return tuple(told)


def with_system(turns: tuple[Turn, ...], words: str) -> tuple[Turn, ...]:
    """Return *turns* with *words* at the end of the system prompt, or as one."""
    if turns and turns[0].role == "system":
        first = msgspec.structs.replace(turns[0], text=f"{turns[0].text}\n\n{words}".lstrip())
        return (first, *turns[1:])
    return (Turn("system", words), *turns)


def _in_words(turn: Turn) -> Turn:
    if turn.role == "tool":
        lines = [f"{'Error' if each.is_error else 'Result'} of {each.name}: {each.text}" for each in turn.results]
        return Turn("user", "\n".join(lines), attachments=turn.attachments)
    calls = [_json({TOOL: call.name, ARGUMENTS: call.invalid or call.arguments}) for call in turn.calls]
    return Turn("assistant", "\n".join(filter(None, [turn.text, *calls])), turn.thinking)


def allowed_tools(request: Request) -> tuple[Tool, ...]:
    """Return the tools that may be called; a choice that names none of them leaves them all."""
    if request.tool_choice in {"auto", "required"}:
        return request.tools
    return tuple(tool for tool in request.tools if tool.name == request.tool_choice) or request.tools


def _instructions(tools: Iterable[Tool], output: OutputSchema | None, *, may_answer: bool) -> str:
    """Return what the model has to know of its tools; short, for its context is too."""
    lines = ["You have these tools:"]
    for tool in tools:
        properties = tool.parameters.get("properties", {})
        lines.append(f"- {tool.name}: {tool.description} Arguments: {_json(properties)}")
    lines.append(f'To use one, write {{"{TOOL}": its name, "{ARGUMENTS}": {{...}}}}; you will be told its result.')
    if may_answer:
        answer = "your answer" if output is None else f"your answer, like {_json(output.schema)}"
        lines.append(f'When you know enough, write {{"{ANSWER}": {answer}}}.')
    return "\n".join(lines)


def _call_schema(tool: Tool) -> dict[str, Any]:
    name = {"type": "string", "enum": [tool.name]}
    return _closed({TOOL: name, ARGUMENTS: _hoisted(tool.parameters, f"{TOOL}-{tool.name}")})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _definitions(schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the definitions of all *schemas*, for the root of the one that holds them all."""
    return {
        f"{owner}.{name}": _hoisted(definition, owner)
        for owner, schema in schemas.items()
        for name, definition in schema.get("$defs", {}).items()
    }


def _hoisted(schema: Any, owner: str) -> Any:
    """Return *schema* without its definitions, which have moved to the root under *owner*'s name."""
    if _is_list(schema):
        return [_hoisted(each, owner) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    given = cast("Mapping[str, Any]", schema)
    moved = {name: _hoisted(value, owner) for name, value in given.items() if name != "$defs"}
    if isinstance(pointer := given.get("$ref"), str):
        moved["$ref"] = pointer.replace("#/$defs/", f"#/$defs/{owner}.", 1)
    return moved


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
