"""What the benchmark's model server answers, as bytes: OpenAI's chat completions and Ollama's own API.

It only looks at the form of a request. Tools are asked for once, with arguments made from their schema; a schema for
the answer gets an answer made from it; after a tool's result, and to everything else, comes one fixed sentence.
Answers are kept, so that the server is never what a measurement waits for.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["ANSWER", "CITY", "TOKENS", "Form", "answer", "form_of"]

ANSWER: Final = "The answer is 4."
CITY: Final = ("Paris", 21)  # what comes of a schema that wants a text and a whole number
TOKENS: Final = 1_000  # how long a text that is streamed is

_CHAT_PATHS: Final = {b"/v1/chat/completions": "openai", b"/api/chat": "ollama"}
_CREATED: Final = 1_700_000_000
_CREATED_AT: Final = "2026-01-01T00:00:00.000000Z"
_FINGERPRINT: Final = {"system_fingerprint": "fp_benchmark", "service_tier": "default"}
_EXAMPLES: Final[Mapping[str, Any]] = {
    "string": CITY[0],
    "integer": CITY[1],
    "number": 21.5,
    "boolean": True,
    "null": None,
}

Tool = tuple[str, str]  # its name, and the arguments to call it with, as JSON


class Form:
    """What an answer depends on: the dialect, whether it is streamed, and what it has to hold."""

    __slots__ = ("dialect", "is_streamed", "model", "text", "tool", "with_usage")

    def __init__(self, dialect: str, body: Mapping[str, Any]) -> None:
        self.dialect, self.model = dialect, str(body["model"])
        self.is_streamed = bool(body.get("stream", dialect == "ollama"))
        self.with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        schema = _schema_of(body)
        tools = body.get("tools") or ()
        is_told = body["messages"][-1]["role"] == "tool"
        self.tool: Tool | None = None if is_told or not tools else _called(tools[0]["function"])
        self.text = None if schema is None else json.dumps(_example(schema, schema))

    @property
    def key(self) -> tuple[Any, ...]:
        """What equal answers have in common."""
        return (self.dialect, self.model, self.is_streamed, self.with_usage, self.text, self.tool)


def form_of(path: bytes, body: bytes) -> Form | None:
    """Return the form that the answer to *body* has, or nothing for a path of no dialect."""
    dialect = _CHAT_PATHS.get(path)
    return None if dialect is None else Form(dialect, json.loads(body))


def answer(form: Form) -> tuple[bytes, ...]:
    """Return the HTTP response, in the pieces it is streamed in."""
    return _openai(form) if form.dialect == "openai" else _ollama(form)


def _schema_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema that the answer is to follow: OpenAI's way or Ollama's."""
    wanted = body.get("response_format") or body.get("format")
    if not isinstance(wanted, dict):
        return None
    schema: dict[str, Any] = (wanted.get("json_schema") or {}).get("schema") or wanted
    return schema


def _called(function: Mapping[str, Any]) -> Tool:
    parameters = function.get("parameters") or {}
    return str(function["name"]), json.dumps(_example(parameters, parameters))


def _example(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return something that *schema* allows."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _example(root["$defs"][name], root)
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], root)
    if schema.get("type") == "array":
        return [_example(schema["items"], root)]
    if "properties" in schema or schema.get("type") == "object":
        return {name: _example(each, root) for name, each in schema.get("properties", {}).items()}
    return _EXAMPLES[schema["type"]]


def _openai(form: Form) -> tuple[bytes, ...]:
    usage = {"prompt_tokens": 20, "completion_tokens": TOKENS, "total_tokens": 20 + TOKENS}
    head: dict[str, Any] = {"id": "chatcmpl-benchmark", "created": _CREATED, "model": form.model, **_FINGERPRINT}
    calls = None
    if form.tool is not None:
        name, arguments = form.tool
        calls = [{"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}]
    finish = "stop" if calls is None else "tool_calls"
    if form.is_streamed:
        head["object"] = "chat.completion.chunk"
        return _events(head, _deltas(form, calls), finish, usage if form.with_usage else None)
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else form.text or ANSWER, "refusal": None}
    if calls is not None:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return (_whole({**head, "object": "chat.completion", "choices": [choice], "usage": usage}),)


def _deltas(form: Form, calls: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    begin: dict[str, Any] = {"role": "assistant", "content": None if calls else "", "refusal": None}
    if calls:
        return [begin, *({"tool_calls": [{"index": index, **call}]} for index, call in enumerate(calls))]
    return [begin, *({"content": word} for word in _words(form))]


def _events(
    head: dict[str, Any], deltas: Sequence[dict[str, Any]], finish: str, usage: dict[str, int] | None
) -> tuple[bytes, ...]:
    ends: list[str | None] = [*(None for _ in deltas), finish]
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}]}
        for delta, end in zip([*deltas, {}], ends, strict=True)
    ]
    if usage is not None:
        chunks.append({**head, "choices": [], "usage": usage})
    events = [b"data: %b\n\n" % _encode(chunk) for chunk in chunks]
    return _pieces("text/event-stream; charset=utf-8", [*events, b"data: [DONE]\n\n"])


def _ollama(form: Form) -> tuple[bytes, ...]:
    head = {"model": form.model, "created_at": _CREATED_AT}
    last = {"done": True, "done_reason": "stop", "total_duration": 2, "load_duration": 1}
    last |= {"prompt_eval_count": 20, "prompt_eval_duration": 1, "eval_count": TOKENS, "eval_duration": 1}

    def line(content: str, **more: Any) -> dict[str, Any]:
        return {**head, "message": {"role": "assistant", "content": content, **more}}

    calls: dict[str, Any] = {}
    if form.tool is not None:
        name, arguments = form.tool
        function = {"index": 0, "name": name, "arguments": json.loads(arguments)}
        calls["tool_calls"] = [{"id": "call_1", "function": function}]
    if not form.is_streamed:
        return (_whole({**line("" if calls else form.text or ANSWER, **calls), **last}),)
    words = [""] if calls else _words(form)
    lines = [{**line(word, **calls), "done": False} for word in words]
    return _pieces("application/x-ndjson", [_encode(each) + b"\n" for each in [*lines, {**line(""), **last}]])


def _words(form: Form) -> list[str]:
    """Return the text in pieces; the plain one is long, as what is streamed is."""
    if form.text is not None:
        return form.text.split(" ")
    return [f"word{number % 100} " for number in range(TOKENS)]


def _encode(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _whole(body: Mapping[str, Any]) -> bytes:
    raw = _encode(body)
    return _head("application/json", f"content-length: {len(raw)}") + raw


def _pieces(content_type: str, parts: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a response whose *parts* come in a chunk each; the last one carries its end."""
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
    return _head(content_type, "transfer-encoding: chunked") + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"


def _head(content_type: str, length: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{length}\r\n\r\n".encode()
