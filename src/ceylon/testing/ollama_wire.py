"""Ollama's requests and answers, translated to and from the embedded engine's: chat completions with extras."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

__all__ = ["Ending", "EngineChunk", "Generation", "engine_body", "last_line", "line", "merged", "shown", "tagged"]

_SAME_NAME: Final = (
    *("temperature", "top_k", "top_p", "min_p", "typical_p", "seed", "stop"),
    *("repeat_penalty", "repeat_last_n", "presence_penalty", "frequency_penalty"),
)
_NANOSECONDS: Final = 1_000_000  # a millisecond
_DETAILS: Final = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}


class _Message(msgspec.Struct):
    role: str
    content: str = ""


class Generation(msgspec.Struct):
    """The body of `/api/chat` and `/api/generate`, as far as an embedded engine can follow it."""

    model: str = ""
    messages: list[_Message] = []
    prompt: str = ""
    system: str = ""
    stream: bool | None = None
    format: Any = None
    options: dict[str, Any] | None = None
    think: bool | str | None = None
    tools: list[Any] | None = None

    def conversation(self) -> list[_Message]:
        """Return the messages; a bare prompt is one of the user's."""
        if self.messages or not self.prompt:
            return self.messages
        system = [_Message("system", self.system)] if self.system else []
        return [*system, _Message("user", self.prompt)]


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Timings(msgspec.Struct, frozen=True):
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class EngineChunk(msgspec.Struct):
    """One event of the engine's stream."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None

    @property
    def text(self) -> str:
        """The piece of text it brings."""
        return "".join((choice.delta and choice.delta.content) or "" for choice in self.choices)

    @property
    def finish(self) -> str:
        """Why the engine stopped, if it says so here."""
        return next((choice.finish_reason for choice in self.choices if choice.finish_reason), "")


class Ending(msgspec.Struct, frozen=True):
    """How an answer ended, and what it took."""

    reason: str = "stop"
    usage: _Usage = _Usage()
    timings: _Timings = _Timings()


def merged(chunks: Sequence[EngineChunk]) -> Ending:
    """Return the ending that *chunks* tell of, each its part."""
    reasons = [chunk.finish for chunk in chunks if chunk.finish]
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    timings = [chunk.timings for chunk in chunks if chunk.timings]
    return Ending(
        reasons[-1] if reasons else "stop",
        usages[-1] if usages else _Usage(),
        timings[-1] if timings else _Timings(),
    )


def engine_body(generation: Generation) -> bytes:
    """Return the request to the engine; it is always asked for a stream, so that it can be stopped."""
    options = generation.options or {}
    body: dict[str, Any] = {name: options[name] for name in _SAME_NAME if options.get(name) is not None}
    if options.get("num_predict", -1) >= 0:
        body["max_tokens"] = options["num_predict"]
    if generation.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif generation.format:
        schema = {"name": "answer", "schema": generation.format}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    body |= {"messages": generation.conversation(), "stream": True, "stream_options": {"include_usage": True}}
    return msgspec.json.encode(body)


def line(model: str, text: str, *, chat: bool) -> dict[str, Any]:
    """Return one line of an answer under way."""
    content = {"message": {"role": "assistant", "content": text}} if chat else {"response": text}
    return {"model": model, "created_at": _now(), **content, "done": False}


def last_line(model: str, text: str, ending: Ending, *, chat: bool) -> dict[str, Any]:
    """Return the line that ends an answer; *text* is all of it if the answer was not streamed."""
    usage, timings = ending.usage, ending.timings
    counts = {
        "total_duration": int((timings.prompt_ms + timings.predicted_ms) * _NANOSECONDS),
        "load_duration": 0,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": int(timings.prompt_ms * _NANOSECONDS),
        "eval_count": usage.completion_tokens,
        "eval_duration": int(timings.predicted_ms * _NANOSECONDS),
    }
    told = {name: count for name, count in counts.items() if count}  # as Ollama does: a zero is left out
    return line(model, text, chat=chat) | {"done": True, "done_reason": ending.reason} | told


def tagged(model: str, size: int) -> dict[str, Any]:
    """Return the entry of `/api/tags` and `/api/ps`."""
    return {
        "name": model,
        "model": model,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": size,
        "digest": "0" * 64,
        "details": _DETAILS,
        "capabilities": ["completion"],
    }


def shown(context: int) -> dict[str, Any]:
    """Return the answer of `/api/show`."""
    information: Mapping[str, Any] = {
        "general.architecture": "llama",
        "general.parameter_count": 134_515_008,
        "llama.context_length": context,
    }
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _DETAILS,
        "model_info": information,
        "capabilities": ["completion"],
        "modified_at": "2026-01-01T00:00:00Z",
    }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
