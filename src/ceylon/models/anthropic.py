"""Anthropic's Messages API: what is sent, and to whom."""

import base64
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Final

import msgspec

from ceylon.errors import ModelConfigError
from ceylon.models.anthropic_answer import MessageAnswer
from ceylon.models.closed_schema import closed, is_open
from ceylon.models.endpoint import Endpoint
from ceylon.models.port import Abilities
from ceylon.models.service import Host, ServiceModel
from ceylon.models.service_session import Dialect
from ceylon.models.turns import Attachment, OutputSchema, Request, Tool, ToolCall, ToolResult, Turn
from ceylon.settings import DEFAULTS

__all__ = ["ANTHROPIC", "AnthropicModel"]

ANTHROPIC: Final = Host(
    provider="anthropic",
    base_url="https://api.anthropic.com",
    url_variable="ANTHROPIC_BASE_URL",
    versions=("/v1",),
    keys={"ANTHROPIC_API_KEY": "x-api-key", "ANTHROPIC_AUTH_TOKEN": "authorization"},
    options=frozenset(
        {
            *("thinking", "output_config", "cache_control", "disable_parallel_tool_use", "metadata"),
            *("service_tier", "speed", "betas", "anthropic_version"),
        }
    ),
    models_path="/v1/models",
)

_VERSION: Final = "2026-10-21"
_OLD_VERSION: Final = "2023-06-01"  # the last one that takes …
_SAMPLING: Final = frozenset({"top_p", "top_k"})  # … these and a temperature; later ones refuse the whole request
_NEVER_FORCED: Final = ("fable", "mythos")  # these models refuse to be made to call
_NOT_IN_AN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")  # calls of other providers' models have dots and colons in it
_PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


class AnthropicModel(ServiceModel, frozen=True, kw_only=True):
    """A Claude.

    Of the options, ``cache_control={"type": "ephemeral"}`` marks the last block that can be cached,
    ``disable_parallel_tool_use=True`` asks for one call at a time, and ``betas=[...]`` become their header. The API
    refuses a temperature, so that none is sent, unless ``anthropic_version="2023-06-01"`` asks for how it was before.
    """

    host: ClassVar[Host] = ANTHROPIC

    @property
    def takes_sampling(self) -> bool:
        """Whether a temperature may be sent."""
        return bool(self.options.get("anthropic_version") == _OLD_VERSION)

    def known_options(self) -> frozenset[str]:
        """See `ServiceModel`."""
        return ANTHROPIC.options | _SAMPLING if self.takes_sampling else ANTHROPIC.options

    def own_headers(self) -> dict[str, str]:
        """Return the version, and what asks for things that are not yet for everybody."""
        version, betas = self.options.get("anthropic_version", _VERSION), self.options.get("betas")
        return {"anthropic-version": version} | ({"anthropic-beta": ",".join(betas)} if betas else {})

    def dialect(self) -> Dialect:
        """See `ServiceModel`."""
        return _Messages(self)


class _Messages:
    """The dialect."""

    def __init__(self, model: AnthropicModel) -> None:
        self._model = model
        self._is_forceable = not any(word in model.model for word in _NEVER_FORCED)

    @property
    def abilities(self) -> Abilities:
        return Abilities(tool_choice=self._is_forceable)

    def path(self, *, stream: bool) -> str:
        del stream
        return "/v1/messages"

    def answer(self, request: Request, endpoint: Endpoint) -> MessageAnswer:
        return MessageAnswer(endpoint, sum(len(turn.calls) for turn in request.turns))

    def body(self, request: Request, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        one_at_a_time = options.pop("disable_parallel_tool_use", False)
        for name in ("betas", "anthropic_version"):  # headers
            options.pop(name, None)
        body: dict[str, Any] = {
            "model": self._model.model,
            "max_tokens": _limit(request, options),
            "messages": _messages(request.turns, self._model.name),
            **options,
        }
        system = [turn.text for turn in request.turns if turn.role == "system" and turn.text]
        if request.output is not None:
            if is_open(request.output.schema):
                system.append(_told(request.output))
            else:
                form = {"type": "json_schema", "schema": closed(request.output.schema)}
                body["output_config"] = {**body.get("output_config", {}), "format": form}
        if system:
            body["system"] = "\n\n".join(system)
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            choice = self._choice(request.tool_choice, options, one_at_a_time=one_at_a_time)
            body |= {"tool_choice": choice} if choice else {}
        if request.temperature is not None and self._model.takes_sampling:
            body["temperature"] = request.temperature
        body |= {"stop_sequences": list(request.stop)} if request.stop else {}
        return body | {"stream": True} if stream else body

    def _choice(self, wanted: str, options: dict[str, Any], *, one_at_a_time: bool) -> dict[str, Any] | None:
        """Return the ``tool_choice``; a model that thinks at length, or never lets itself be forced, is not forced."""
        thinks = options.get("thinking", {}).get("type") == "enabled"
        if wanted == "none":
            return {"type": "none"}
        if wanted == "auto" or thinks or not self._is_forceable:
            choice = {"type": "auto"} if one_at_a_time else {}
        else:
            choice = {"type": "any"} if wanted == "required" else {"type": "tool", "name": wanted}
        return choice | {"disable_parallel_tool_use": True} if one_at_a_time else choice or None


def _limit(request: Request, options: dict[str, Any]) -> int:
    """Return ``max_tokens``, which has to be there and to leave room behind the thoughts."""
    if request.max_tokens is not None:
        return request.max_tokens
    thinking = options.get("thinking", {})
    return DEFAULTS.model_answer_tokens + (thinking.get("budget_tokens") or 0)


def _told(output: OutputSchema) -> str:
    """Return the words for a schema that the service cannot hold its model to: one with fields of any name."""
    schema = msgspec.json.encode(output.schema).decode()
    return f"Answer with one JSON value and nothing else; no code fence. It follows this JSON schema: {schema}"


def _tool(tool: Tool) -> dict[str, Any]:
    told = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **told, "input_schema": tool.parameters}


def _messages(turns: Iterable[Turn], model: str) -> list[dict[str, Any]]:
    """Return the messages, one for all turns of a role in a row: results have to be one message, and first in it."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "system":
            continue
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = _said(turn) if role == "assistant" else _heard(turn, model)
        if not blocks:
            continue  # an empty message is refused
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].extend(blocks)
        else:
            messages.append({"role": role, "content": blocks})
    for message in messages:
        message["content"].sort(key=_is_no_result)
    return messages


def _said(turn: Turn) -> list[dict[str, Any]]:
    """Return a model's turn: signed thoughts as they came, if they are this service's and still belong to the turn."""
    native = turn.native
    if native is not None and native.provider == ANTHROPIC.provider:
        blocks: list[dict[str, Any]] = native.content
        if [block.get("id") for block in blocks if block["type"] == "tool_use"] == [call.id for call in turn.calls]:
            return list(blocks)
    return _text(turn.text) + [_call(call) for call in turn.calls]


def _heard(turn: Turn, model: str) -> list[dict[str, Any]]:
    blocks = [_result(result) for result in turn.results]
    blocks += [_attachment(attachment, model) for attachment in turn.attachments]
    return blocks + _text(turn.text)


def _is_no_result(block: dict[str, Any]) -> bool:
    return bool(block["type"] != "tool_result")


def _text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text.strip() else []  # blank blocks are refused


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": _identity(call.id), "name": call.name, "input": call.arguments}


def _result(result: ToolResult) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": _identity(result.id), "content": result.text}
    return block | {"is_error": True} if result.is_error else block


def _identity(identity: str) -> str:
    return _NOT_IN_AN_ID.sub("_", identity)


def _attachment(attachment: Attachment, model: str) -> dict[str, Any]:
    kind = attachment.media_type
    encoded = base64.b64encode(attachment.content).decode()
    if kind in _PICTURES:
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": encoded}}
    if kind == "application/pdf":
        source = {"type": "base64", "media_type": kind, "data": encoded}
    elif kind.startswith("text/"):
        text = attachment.content.decode(errors="replace")
        source = {"type": "text", "media_type": "text/plain", "data": text}
    else:
        sentence = f"{model} takes no {kind}; it takes pictures (PNG, JPEG, GIF, WebP), PDF and text"
        raise ModelConfigError(sentence)
    title = {"title": attachment.name} if attachment.name else {}
    return {"type": "document", "source": source, **title}
