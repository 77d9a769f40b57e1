"""Gemini's generateContent: what is sent, and where."""

import base64
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Final
from urllib.parse import quote

from ceylon.models.endpoint import Endpoint
from ceylon.models.gemini_answer import ContentAnswer
from ceylon.models.port import Abilities
from ceylon.models.service import Host, ServiceModel
from ceylon.models.service_session import Dialect
from ceylon.models.turns import Attachment, Request, Tool, ToolCall, ToolResult, Turn

__all__ = ["GEMINI", "GeminiModel"]

_GENERATION: Final = frozenset(
    {
        *("topP", "topK", "presencePenalty", "frequencyPenalty", "thinkingConfig", "mediaResolution"),
        *("responseLogprobs", "logprobs", "responseMimeType"),
    }
)
GEMINI: Final = Host(
    provider="gemini",
    base_url="https://generativelanguage.googleapis.com",
    url_variable="GOOGLE_GEMINI_BASE_URL",
    versions=("/v1beta",),
    keys={"GOOGLE_API_KEY": "x-goog-api-key", "GEMINI_API_KEY": "x-goog-api-key"},
    options=_GENERATION | {"safetySettings", "cachedContent", "serviceTier"},
    models_path="/v1beta/models",
)

_VERSION: Final = re.compile(r"gemini-(\d+)")
_BOTH_SINCE: Final = 3  # tools and a schema in one request
_UNSIGNED: Final = base64.b64encode(b"skip_thought_signature_validator").decode()
"""What Gemini documents for a call that it did not make, or made without a thought: it wants a signature."""


class GeminiModel(ServiceModel, frozen=True, kw_only=True):
    """A Gemini; ``gemini-…`` and ``models/gemini-…`` are the same.

    Its options are those of ``generationConfig`` (``topK``, ``thinkingConfig``, …) and ``safetySettings``,
    ``cachedContent``, ``serviceTier``.
    """

    host: ClassVar[Host] = GEMINI

    def dialect(self) -> Dialect:
        """See `ServiceModel`."""
        return _GenerateContent(self.model)


class _GenerateContent:
    """The dialect."""

    def __init__(self, model: str) -> None:
        self._model = model if "/" in model else f"models/{model}"
        version = _VERSION.search(model)
        self._has_both = version is not None and int(version[1]) >= _BOTH_SINCE

    @property
    def abilities(self) -> Abilities:
        return Abilities(output_with_tools=self._has_both)

    def path(self, *, stream: bool) -> str:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/{quote(self._model)}:{verb}"

    def answer(self, request: Request, endpoint: Endpoint) -> ContentAnswer:
        return ContentAnswer(endpoint, sum(len(turn.calls) for turn in request.turns))

    def body(self, request: Request, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        del stream  # the path says so
        body: dict[str, Any] = {"contents": _contents(request.turns)}
        body |= {name: value for name, value in options.items() if name not in _GENERATION}
        generation = {name: value for name, value in options.items() if name in _GENERATION} | _asked(request)
        if generation:
            body["generationConfig"] = generation
        system = [turn.text for turn in request.turns if turn.role == "system" and turn.text]
        if system:
            body["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
        if request.tools:
            body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
            body |= _choice(request.tool_choice)
        return body


def _asked(request: Request) -> dict[str, Any]:
    """Return what a request asks for, as part of ``generationConfig``."""
    named = {"temperature": request.temperature, "maxOutputTokens": request.max_tokens, "seed": request.seed}
    asked: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if request.stop:
        asked["stopSequences"] = list(request.stop)
    if request.output is not None:
        asked |= {"responseMimeType": "application/json", "responseJsonSchema": request.output.schema}
    return asked


def _choice(wanted: str) -> dict[str, Any]:
    if wanted == "auto":
        return {}
    modes: dict[str, dict[str, Any]] = {"none": {"mode": "NONE"}, "required": {"mode": "ANY"}}
    mode = modes.get(wanted, {"mode": "ANY", "allowedFunctionNames": [wanted]})
    return {"toolConfig": {"functionCallingConfig": mode}}


def _tool(tool: Tool) -> dict[str, Any]:
    told = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **told, "parametersJsonSchema": tool.parameters}


def _contents(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    known: set[str] = set()  # ids of calls that Gemini gave itself: no other is sent back
    for turn in turns:
        if turn.role == "assistant":
            parts = _said(turn)
            known.update(part["functionCall"].get("id", "") for part in parts if "functionCall" in part)
        elif turn.role == "system":
            continue
        else:
            parts = [_result(result, known) for result in turn.results]
            parts += [_attachment(attachment) for attachment in turn.attachments]
            parts += _text(turn.text)
        if parts:
            contents.append({"role": "model" if turn.role == "assistant" else "user", "parts": parts})
    return contents


def _said(turn: Turn) -> list[dict[str, Any]]:
    """Return a model's turn: parts as they came with their signatures, if they are Gemini's and still the turn's."""
    parts = _text(turn.text) + [_call(call) for call in turn.calls]
    native = turn.native
    if native is not None and native.provider == GEMINI.provider:
        own: list[dict[str, Any]] = native.content
        if _calls_in(own) == _calls_in(parts):
            parts = [dict(part) for part in own]
    calls = [part for part in parts if "functionCall" in part]
    if calls and not any("thoughtSignature" in part for part in calls):
        calls[0]["thoughtSignature"] = _UNSIGNED  # of parallel calls only the first has one
    return parts


def _calls_in(parts: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return [(call.get("name", ""), call.get("args") or {}) for call in calls]


def _text(text: str) -> list[dict[str, Any]]:
    return [{"text": text}] if text else []


def _call(call: ToolCall) -> dict[str, Any]:
    return {"functionCall": {"name": call.name, "args": call.arguments}}


def _result(result: ToolResult, known: set[str]) -> dict[str, Any]:
    """Return a result, in an object: it has to be one."""
    identity = {"id": result.id} if result.id in known else {}
    response = {"error" if result.is_error else "result": result.text}
    return {"functionResponse": {**identity, "name": result.name, "response": response}}


def _attachment(attachment: Attachment) -> dict[str, Any]:
    encoded = base64.b64encode(attachment.content).decode()
    return {"inlineData": {"mimeType": attachment.media_type, "data": encoded}}
