"""What goes to Ollama's `/api/chat` and what comes back."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ceylon.errors import ModelConfigError, ModelProtocolError
from ceylon.models.draft import Draft
from ceylon.models.endpoint import Endpoint
from ceylon.models.openai_request import tool_entry
from ceylon.models.secret import redact
from ceylon.models.think_tags import OPTION
from ceylon.models.turns import Attachment, Finish, Part, Request, Turn, Usage

__all__ = ["FIELDS", "KNOWN", "OPTIONS", "Chunk", "chat_body", "chunks", "take"]

OPTIONS: Final = frozenset(
    {
        *("num_ctx", "num_predict", "num_keep", "num_gpu", "num_thread", "num_batch", "main_gpu", "use_mmap"),
        *("temperature", "top_k", "top_p", "min_p", "typical_p", "seed", "stop", "draft_num_predict"),
        *("repeat_penalty", "repeat_last_n", "presence_penalty", "frequency_penalty"),
    }
)
FIELDS: Final = frozenset({"keep_alive", "think", "format", "truncate", "shift"})  # beside the options, not in them
KNOWN: Final = OPTIONS | FIELDS | {OPTION}
_FINISHES: Final[Mapping[str, Finish]] = {"length": "length"}
_NANOSECONDS: Final = 1e9
_LEVELS_ONLY: Final = "gpt-oss"  # thinks always, and takes a level for an answer, no yes or no


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class Chunk(msgspec.Struct):
    """A whole answer, or one line of it."""

    model: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


chunks: Final = msgspec.json.Decoder(Chunk, strict=False)


def chat_body(model: str, request: Request, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body but for the model's name; *given* are Ollama's own options, known to be such.

    Raises:
        ModelConfigError: a file that is no picture.
    """
    options = {name: value for name, value in given.items() if name in OPTIONS}
    named = {
        "temperature": request.temperature,
        "num_predict": request.max_tokens,
        "seed": request.seed,
        "stop": list(request.stop) or None,
    }
    options |= {name: value for name, value in named.items() if value is not None}
    body: dict[str, Any] = {
        "messages": [message for turn in request.turns for message in _messages(model, turn)],
        **{name: value for name, value in given.items() if name in FIELDS},
    }
    if isinstance(think := body.get("think"), bool) and _LEVELS_ONLY in model:
        body["think"] = "medium" if think else "low"
    if request.tools and request.tool_choice != "none":
        body["tools"] = [tool_entry(tool) for tool in request.tools]
    if request.output is not None:
        body["format"] = request.output.schema
    if options:
        body["options"] = options
    return body


def take(draft: Draft, endpoint: Endpoint, chunk: Chunk) -> list[Part]:
    """Add *chunk* to *draft* and return its parts; calls come whole, and their ids only from new servers."""
    if chunk.error is not None:
        words = redact(chunk.error, endpoint.key)
        sentence = f"{endpoint.model}: the server failed while it answered: {words}"
        raise ModelProtocolError(sentence)
    message = chunk.message or _Message()
    draft.model = chunk.model or draft.model
    if chunk.done:
        draft.finish = _FINISHES.get(chunk.done_reason or "", "stop")
        draft.usage = Usage(input=chunk.prompt_eval_count or 0, output=chunk.eval_count or 0)
        if chunk.eval_count and chunk.eval_duration:
            draft.tokens_per_second = chunk.eval_count / chunk.eval_duration * _NANOSECONDS
    for call in message.tool_calls or ():
        function = call.function or _Function()
        draft.pieces.add_whole(call.id or "", function.name or "", function.arguments)
    return [*draft.add(message.content or "", message.thinking or "")]


def _messages(model: str, turn: Turn) -> Iterator[dict[str, Any]]:
    """Yield what *turn* is on the wire: one message, or one for each result."""
    for result in turn.results:
        yield {"role": "tool", "tool_name": result.name, "tool_call_id": result.id, "content": result.text}
    role = "user" if turn.role == "tool" else turn.role
    if turn.role == "tool" and not turn.attachments:
        return
    message: dict[str, Any] = {"role": role, "content": turn.text}
    if turn.attachments:
        message["images"] = [_image(model, each) for each in turn.attachments]
    if turn.thinking and turn.calls:  # what led to the calls; of what led to an answer, nothing is left
        message["thinking"] = turn.thinking
    if turn.calls:
        message["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}} for call in turn.calls
        ]
    yield message


def _image(model: str, attachment: Attachment) -> str:
    if not attachment.media_type.startswith("image/"):
        sentence = f"{model} takes pictures and no files, and {attachment.name or 'one'} is {attachment.media_type}"
        raise ModelConfigError(sentence)
    return base64.b64encode(attachment.content).decode()
