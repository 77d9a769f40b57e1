"""Write a request in the language of chat completions, as its server wants it said."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ceylon.errors import ModelConfigError
from ceylon.models.quirks import Quirks
from ceylon.models.strict_schema import strict_schema
from ceylon.models.turns import Attachment, OutputSchema, Request, Tool, ToolCall, Turn

__all__ = ["messages", "safe_name", "settings", "tool_entry"]

_SOUNDS: Final[Mapping[str, str]] = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_MOST_NAME: Final = 64
_strange: Final = re.compile(r"[^a-zA-Z0-9_-]")
_is_short_id: Final = re.compile(r"[a-zA-Z0-9]{9}").fullmatch


def messages(request: Request, quirks: Quirks) -> list[dict[str, Any]]:
    """Return the conversation, entry by entry."""
    if all(turn.role in {"user", "assistant"} and not turn.calls and not turn.attachments for turn in request.turns):
        return [{"role": turn.role, "content": turn.text} for turn in request.turns]
    return [message for turn in request.turns for message in _entries(turn, quirks)]


def settings(model: str, request: Request, quirks: Quirks) -> dict[str, Any]:
    """Return what is asked for beside the conversation.

    Raises:
        ModelConfigError: a setting the server does not have.
    """
    if request.seed is not None and not quirks.seed_name:
        sentence = f"{model} takes no seed; leave `seed=` out"
        raise ModelConfigError(sentence)
    named = {
        "temperature": request.temperature,
        quirks.limit_name: request.max_tokens,
        quirks.seed_name: request.seed,
        "stop": list(request.stop) or None,
    }
    body: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if request.tools:
        body["tools"] = [tool_entry(tool, is_strict=quirks.strict) for tool in request.tools]
        if request.tool_choice != "auto":
            body["tool_choice"] = _choice(request.tool_choice)
    if request.output is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": _format(request.output, quirks)}
    return body


def tool_entry(tool: Tool, *, is_strict: bool = False) -> dict[str, Any]:
    """Return *tool* as servers of several dialects read it; strict if it is asked for and can be."""
    parameters = strict_schema(tool.parameters) if is_strict else None
    function: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if parameters is None:
        function["parameters"] = tool.parameters
    else:
        function |= {"parameters": parameters, "strict": True}
    return {"type": "function", "function": function}


def safe_name(name: str) -> str:
    """Return *name* as a server takes it back: what a model calls a tool may be anything."""
    return _strange.sub("_", name)[:_MOST_NAME] or "_"


def _entries(turn: Turn, quirks: Quirks) -> Iterator[dict[str, Any]]:
    """Yield what *turn* is on the wire: one message, or one for each result."""
    if turn.role == "tool":
        for result in turn.results:
            yield {"role": "tool", "tool_call_id": _id(result.id, quirks), "content": result.text}
        if turn.attachments:  # a result is text only
            yield {"role": "user", "content": _pieces(turn)}
    elif turn.role == "assistant" and turn.calls:
        said: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
        if quirks.thinking_name and turn.thinking:
            said[quirks.thinking_name] = turn.thinking
        yield said | {"tool_calls": [_call(call, quirks) for call in turn.calls]}
    else:
        role = quirks.system_role if turn.role == "system" else turn.role
        yield {"role": role, "content": _pieces(turn) if turn.attachments else turn.text}


def _call(call: ToolCall, quirks: Quirks) -> dict[str, Any]:
    """Return a call of an earlier answer; servers that read its arguments must find JSON in them."""
    arguments = {"invalid": call.invalid} if call.invalid else call.arguments
    function = {"name": safe_name(call.name), "arguments": msgspec.json.encode(arguments).decode()}
    return {"id": _id(call.id, quirks), "type": "function", "function": function}


def _id(identity: str, quirks: Quirks) -> str:
    if not quirks.short_ids or _is_short_id(identity):
        return identity
    return hashlib.sha256(identity.encode()).hexdigest()[:9]


def _pieces(turn: Turn) -> list[dict[str, Any]]:
    """Return a content of several kinds."""
    text = [{"type": "text", "text": turn.text}] if turn.text else []
    return [*text, *map(_piece, turn.attachments)]


def _piece(attachment: Attachment) -> dict[str, Any]:
    encoded = base64.b64encode(attachment.content).decode()
    url = f"data:{attachment.media_type};base64,{encoded}"
    if attachment.media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if sound := _SOUNDS.get(attachment.media_type):
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": sound}}
    return {"type": "file", "file": {"filename": attachment.name or "file", "file_data": url}}


def _choice(choice: str) -> str | dict[str, Any]:
    return choice if choice in {"none", "required"} else {"type": "function", "function": {"name": choice}}


def _format(output: OutputSchema, quirks: Quirks) -> dict[str, Any]:
    schema = strict_schema(output.schema) if quirks.strict else None
    body: dict[str, Any] = {"name": safe_name(output.name), "schema": output.schema if schema is None else schema}
    if quirks.strict:
        body["strict"] = schema is not None
    return body | ({"description": output.description} if output.description else {})
