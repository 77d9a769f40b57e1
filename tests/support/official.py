"""The published clients: what their types say of a request, what they send themselves, and how they read an answer.

They are imported by name, so that the type checkers need none of them.
"""

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from ceylon.testing.model_server import ModelServer

__all__ = ["CLIENTS", "DIALECTS", "Read", "check_answer", "check_request", "failure_of", "plain", "read", "send"]

CLIENTS: Final = ("openai", "anthropic", "google.genai", "ollama")
DIALECTS: Final = ("openai", "openai-responses", "anthropic", "gemini", "ollama")
KEY: Final = "sk-test"
_REQUESTS: Final = {
    "openai": ("openai.types.chat.completion_create_params", "CompletionCreateParams"),
    "openai-responses": ("openai.types.responses.response_create_params", "ResponseCreateParams"),
    "anthropic": ("anthropic.types.message_create_params", "MessageCreateParams"),
}
_ANSWERS: Final = {  # whole, and an event of a stream
    "openai": (("openai.types.chat", "ChatCompletion"), ("openai.types.chat", "ChatCompletionChunk")),
    "openai-responses": (("openai.types.responses", "Response"), ("openai.types.responses", "ResponseStreamEvent")),
    "anthropic": (("anthropic.types", "Message"), ("anthropic.types", "RawMessageStreamEvent")),
    "gemini": (("google.genai.types", "GenerateContentResponse"), ("google.genai.types", "GenerateContentResponse")),
    "ollama": (("ollama", "ChatResponse"), ("ollama", "ChatResponse")),
}
_FREE: Final = {"args", "response", "parametersJsonSchema", "responseJsonSchema"}  # names of one's own
_LATE: Final = {"ollama": {"id", "index", "tool_call_id", "default"}}
_SILENT: Final[dict[str, list[tuple[str, Any]]]] = {
    "gemini": [("generationConfig", {})],
    "ollama": [("stream", False), ("tools", []), ("images", []), ("description", "")],
}
_FINISHES: Final = {
    "end_turn": "stop",
    "tool_use": "tool",
    "max_tokens": "length",
    "refusal": "filter",
    "stop": "stop",
    "tool_calls": "tool",
    "length": "length",
    "content_filter": "filter",
    "completed": "stop",
    "STOP": "stop",
    "MAX_TOKENS": "length",
}


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an answer."""

    text: str
    thinking: str
    calls: tuple[tuple[str, dict[str, Any]], ...]
    tokens: tuple[int, int]
    finish: str


# -- types -------------------------------------------------------------------------------------------------------------


def check_request(dialect: str, body: bytes, *, is_streamed: bool = False) -> None:
    """Raise pydantic's error unless *body* is what the client's types allow, without a field they do not know."""
    if dialect == "gemini":
        _gemini_request(json.loads(body))
    elif dialect == "ollama":
        _ollama_request(json.loads(body))
    else:
        module, name = _REQUESTS[dialect]
        _validator(module, name + ("Streaming" if is_streamed else "NonStreaming")).validate_json(body, strict=True)


def check_answer(dialect: str, content: bytes, *, is_streamed: bool) -> None:
    """Raise pydantic's error unless *content*, an answer or one event of it, is of the client's type."""
    module, name = _ANSWERS[dialect][is_streamed]
    _adapter(module, name).validate_json(content)


@cache
def _adapter(module: str, name: str) -> Any:
    return importlib.import_module("pydantic").TypeAdapter(_of(module, name))


@cache
def _validator(module: str, name: str) -> Any:
    """Return a validator of a `TypedDict` that knows no other fields, at any depth."""
    schema = _closed(_adapter(module, name).core_schema)
    return importlib.import_module("pydantic_core").SchemaValidator(schema)


def _closed(node: Any) -> Any:
    """Return pydantic's schema with every object closed, and with iterables that are looked into."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if isinstance(node, tuple):
        return tuple(_closed(each) for each in node)
    if not isinstance(node, dict):
        return node
    found = {name: _closed(each) for name, each in node.items()}
    kind = found.get("type")  # of a schema's own fields it is the one called so, and no text
    if kind in ("typed-dict", "model-fields"):
        found["extra_behavior"] = "forbid"
        found.pop("config", None)
    if kind == "generator":
        found["type"] = "list"
    return found


def _ollama_request(body: Any) -> None:
    """Raise unless the client keeps all of *body*: its types drop what they do not know, and say nothing."""
    kept = _of("ollama._types", "ChatRequest").model_validate(body).model_dump(exclude_none=True)
    message = _of("ollama", "Message")  # asked by itself: a request takes any mapping for one
    pictured = [{**each, "images": [{"value": each} for each in each.get("images", ())]} for each in body["messages"]]
    kept["messages"] = [message.model_validate(each).model_dump(exclude_none=True) for each in pictured]
    if plain("ollama", kept) != plain("ollama", body):
        sentence = f"validation error: of {body} the client keeps {kept}"
        raise ValueError(sentence)


def plain(dialect: str, body: Any) -> Any:
    """Return *body* in one spelling, without what says nothing: ``"stream": false``, whole numbers that are floats.

    Gemini's client writes some names with an underscore, which its server reads as well. Ollama's client is behind its
    server: it has no ids of calls, and few words of JSON schema.
    """
    if isinstance(body, list):
        return [plain(dialect, each) for each in body]
    if isinstance(body, float) and body.is_integer():
        return int(body)
    if not isinstance(body, dict):
        return body
    found = {_spelled(dialect, name): each for name, each in body.items() if name not in _LATE.get(dialect, ())}
    silent = _SILENT.get(dialect, [("stream", False)])
    return {
        name: each if name in _FREE else plain(dialect, each)
        for name, each in found.items()
        if (name, each) not in silent
    }


def _spelled(dialect: str, name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest) if dialect == "gemini" else name


def _of(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


# -- sending -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _client(dialect: str, server: ModelServer) -> Iterator[Any]:
    """Open the client of *dialect*, which asks *server* and does not try again."""
    if dialect.startswith("openai"):
        client = _of("openai", "OpenAI")(base_url=server.openai_url, api_key=KEY, max_retries=0)
    elif dialect == "anthropic":
        client = _of("anthropic", "Anthropic")(base_url=server.base_url, api_key=KEY, max_retries=0)
    elif dialect == "gemini":
        options = {"base_url": server.base_url, "api_version": "v1beta"}  # `v1` has the same, and lists less
        client = importlib.import_module("google.genai").Client(api_key=KEY, http_options=options)
    else:
        client = _of("ollama", "Client")(host=server.base_url)
    try:
        yield client
    finally:
        client.close()


def send(dialect: str, server: ModelServer, body: Mapping[str, Any]) -> Any:
    """Let the client send what *body* says, and return the answer as it reads it."""
    with _client(dialect, server) as client:
        if dialect == "openai":
            return client.chat.completions.create(**body)
        if dialect == "openai-responses":
            return client.responses.create(**body)
        if dialect == "anthropic":
            return client.messages.create(**body)
        if dialect == "ollama":
            return client.chat(**body)
        contents, config = _gemini_request(body)
        return client.models.generate_content(model="test-model", contents=contents, config=config)


def _gemini_request(body: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """Return *body* as the client wants to be asked; its types know no other fields."""
    types = importlib.import_module("google.genai.types")
    given = dict(body)
    contents = [types.Content.model_validate(content) for content in given.pop("contents")]
    config = given.pop("generationConfig", {}) | given
    return contents, types.GenerateContentConfig.model_validate(config)


# -- reading -----------------------------------------------------------------------------------------------------------


def read(dialect: str, server: ModelServer, *, is_streamed: bool) -> Read:
    """Let the client ask, and return what it reads."""
    with _client(dialect, server) as client:
        return _READERS[dialect](client, is_streamed)


def failure_of(dialect: str, error: Any) -> tuple[int, str]:
    """Return the status and the words in a client's error."""
    if dialect == "ollama":
        return error.status_code, error.error
    if dialect == "gemini":
        return error.code, error.message
    body = error.body["error"] if dialect == "anthropic" else error.body
    return error.status_code, body["message"]


def _read_openai(client: Any, is_streamed: bool) -> Read:  # noqa: FBT001 – the readers are called by this file
    asked: dict[str, Any] = {"model": "test-model", "messages": [{"role": "user", "content": "hi"}]}
    completions = client.chat.completions
    if not is_streamed:
        done = completions.create(**asked)
        message, usage = done.choices[0].message, done.usage
        calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        text, thinking = message.content or "", getattr(message, "reasoning_content", None) or ""
        return _read(
            text, thinking, calls, (usage.prompt_tokens, usage.completion_tokens), done.choices[0].finish_reason
        )
    text = thinking = finish = ""
    found: dict[int, list[str]] = {}
    usage = None
    for chunk in completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            thinking += getattr(choice.delta, "reasoning_content", None) or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                name, arguments = found.setdefault(call.index, ["", ""])
                found[call.index] = [name + (call.function.name or ""), arguments + (call.function.arguments or "")]
    assert usage is not None
    pairs = [(name, arguments) for name, arguments in found.values()]
    return _read(text, thinking, pairs, (usage.prompt_tokens, usage.completion_tokens), finish)


def _read_responses(client: Any, is_streamed: bool) -> Read:  # noqa: FBT001 – as above
    responses = client.responses
    asked: dict[str, Any] = {"model": "test-model", "input": [{"type": "message", "role": "user", "content": "hi"}]}
    if is_streamed:
        with responses.stream(**asked) as stream:
            done = stream.get_final_response()
    else:
        done = responses.create(**asked)
    calls = [(item.name, item.arguments) for item in done.output if item.type == "function_call"]
    thoughts = [part.text for item in done.output if item.type == "reasoning" for part in item.summary]
    tokens = (done.usage.input_tokens, done.usage.output_tokens)
    return _read(done.output_text, "".join(thoughts), calls, tokens, done.status)


def _read_anthropic(client: Any, is_streamed: bool) -> Read:  # noqa: FBT001 – as above
    asked: dict[str, Any] = {"model": "test-model", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    messages = client.messages
    if is_streamed:
        with messages.stream(**asked) as stream:
            done = stream.get_final_message()
    else:
        done = messages.create(**asked)
    calls = [(block.name, json.dumps(block.input)) for block in done.content if block.type == "tool_use"]
    text = "".join(block.text for block in done.content if block.type == "text")
    thinking = "".join(block.thinking for block in done.content if block.type == "thinking")
    counted = done.usage
    given = counted.input_tokens + counted.cache_read_input_tokens + counted.cache_creation_input_tokens
    return _read(text, thinking, calls, (given, counted.output_tokens), done.stop_reason)


def _read_gemini(client: Any, is_streamed: bool) -> Read:  # noqa: FBT001 – as above
    models = client.models
    ask = models.generate_content_stream if is_streamed else models.generate_content
    answer = ask(model="test-model", contents="hi")
    chunks = list(answer) if is_streamed else [answer]
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or ()]
    calls = [(part.function_call.name, json.dumps(part.function_call.args)) for part in parts if part.function_call]
    text = "".join(part.text for part in parts if part.text and not part.thought)
    thinking = "".join(part.text for part in parts if part.text and part.thought)
    counted = chunks[-1].usage_metadata
    output = counted.candidates_token_count + (counted.thoughts_token_count or 0)
    reason = chunks[-1].candidates[0].finish_reason.value
    return _read(text, thinking, calls, (counted.prompt_token_count, output), reason)


def _read_ollama(client: Any, is_streamed: bool) -> Read:  # noqa: FBT001 – as above
    answer = client.chat(model="test-model", messages=[{"role": "user", "content": "hi"}], stream=is_streamed)
    chunks = list(answer) if is_streamed else [answer]
    calls = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
    pairs = [(call.function.name, json.dumps(call.function.arguments)) for call in calls]
    text = "".join(chunk.message.content or "" for chunk in chunks)
    thinking = "".join(chunk.message.thinking or "" for chunk in chunks)
    last = chunks[-1]
    return _read(text, thinking, pairs, (last.prompt_eval_count, last.eval_count), last.done_reason)


_READERS: Final[Mapping[str, Callable[[Any, bool], Read]]] = {
    "openai": _read_openai,
    "openai-responses": _read_responses,
    "anthropic": _read_anthropic,
    "gemini": _read_gemini,
    "ollama": _read_ollama,
}


def _read(text: str, thinking: str, calls: list[tuple[str, str]], tokens: tuple[int, int], finish: str) -> Read:
    made = tuple((name, json.loads(arguments or "{}")) for name, arguments in calls)
    ends = "tool" if made and _FINISHES[finish] in {"stop", "tool"} else _FINISHES[finish]
    return Read(text=text, thinking=thinking, calls=made, tokens=tokens, finish=ends)
