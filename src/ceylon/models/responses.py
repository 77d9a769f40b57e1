"""OpenAI's Responses API, without its memory: what is sent."""

import base64
from collections.abc import Iterable
from typing import Any, ClassVar, Final

import msgspec

from ceylon.errors import ModelConfigError
from ceylon.models.endpoint import Endpoint
from ceylon.models.port import Abilities
from ceylon.models.responses_answer import ResponseAnswer
from ceylon.models.service import Host, ServiceModel
from ceylon.models.service_session import Dialect
from ceylon.models.strict_schema import strict_schema
from ceylon.models.turns import Attachment, OutputSchema, Request, Tool, ToolCall, Turn

__all__ = ["RESPONSES", "ResponsesModel"]

RESPONSES: Final = Host(
    provider="openai-responses",
    base_url="https://api.openai.com/v1",
    url_variable="OPENAI_BASE_URL",
    keys={"OPENAI_API_KEY": "authorization"},
    header_variables={"openai-organization": "OPENAI_ORG_ID", "openai-project": "OPENAI_PROJECT_ID"},
    options=frozenset(
        {
            *("top_p", "reasoning", "text", "truncation", "parallel_tool_calls", "max_tool_calls", "include", "store"),
            *("service_tier", "metadata", "prompt_cache_key", "prompt_cache_options", "safety_identifier", "user"),
        }
    ),
    models_path="/models",
)

_THOUGHTS: Final = "reasoning.encrypted_content"


class ResponsesModel(ServiceModel, frozen=True, kw_only=True):
    """A model behind OpenAI's Responses API.

    Nothing is kept there (``store=False``): each request has the whole conversation, with the model's encrypted
    thoughts. The API takes neither a seed, which is passed over, nor stop texts, which are refused.
    """

    host: ClassVar[Host] = RESPONSES

    def dialect(self) -> Dialect:
        """See `ServiceModel`."""
        return _Responses(self)


class _Responses:
    """The dialect."""

    def __init__(self, model: ResponsesModel) -> None:
        self._model = model

    @property
    def abilities(self) -> Abilities:
        return Abilities(stop=False)

    def path(self, *, stream: bool) -> str:
        del stream
        return "/responses"

    def answer(self, request: Request, endpoint: Endpoint) -> ResponseAnswer:
        return ResponseAnswer(endpoint, sum(len(turn.calls) for turn in request.turns))

    def body(self, request: Request, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        if request.stop:
            sentence = f"{self._model.name} takes no `stop` texts; openai:: (chat completions) does"
            raise ModelConfigError(sentence)
        body: dict[str, Any] = {
            "model": self._model.model,
            "input": [item for turn in request.turns for item in _items(turn)],
            "store": False,
            "include": [_THOUGHTS],
            **options,
        }
        system = [turn.text for turn in request.turns if turn.role == "system" and turn.text]
        if system:
            body["instructions"] = "\n\n".join(system)
        named = {"temperature": request.temperature, "max_output_tokens": request.max_tokens}
        body |= {name: value for name, value in named.items() if value is not None}
        if request.output is not None:
            body["text"] = {**body.get("text", {}), "format": _form(request.output)}
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            body |= _choice(request.tool_choice)
        return body | {"stream": True} if stream else body


def _form(output: OutputSchema) -> dict[str, Any]:
    shut = strict_schema(output.schema)
    form: dict[str, Any] = {"type": "json_schema", "name": output.name, "strict": shut is not None}
    told = {"description": output.description} if output.description else {}
    return {**form, **told, "schema": output.schema if shut is None else shut}


def _tool(tool: Tool) -> dict[str, Any]:
    shut = strict_schema(tool.parameters)
    told = {"description": tool.description} if tool.description else {}
    parameters = tool.parameters if shut is None else shut
    return {"type": "function", "name": tool.name, **told, "parameters": parameters, "strict": shut is not None}


def _choice(wanted: str) -> dict[str, Any]:
    if wanted == "auto":
        return {}
    return {"tool_choice": wanted if wanted in {"none", "required"} else {"type": "function", "name": wanted}}


def _items(turn: Turn) -> Iterable[dict[str, Any]]:
    if turn.role == "assistant":
        return _said(turn)
    items = [{"type": "function_call_output", "call_id": result.id, "output": result.text} for result in turn.results]
    if turn.role == "system" or not (turn.text or turn.attachments):
        return items
    content: str | list[dict[str, Any]] = turn.text
    if turn.attachments:
        content = [_attachment(attachment) for attachment in turn.attachments]
        content += [{"type": "input_text", "text": turn.text}] if turn.text else []
    return [*items, {"type": "message", "role": "user", "content": content}]


def _said(turn: Turn) -> list[dict[str, Any]]:
    """Return a model's turn: the items as they came, encrypted thoughts and all, if they are still the turn's."""
    native = turn.native
    if native is not None and native.provider == RESPONSES.provider:
        items: list[dict[str, Any]] = native.content
        calls = [item.get("call_id") for item in items if item["type"] == "function_call"]
        if calls == [call.id for call in turn.calls]:
            return items
    text = [{"type": "message", "role": "assistant", "content": turn.text}] if turn.text else []
    return text + [_call(call) for call in turn.calls]


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = call.invalid or msgspec.json.encode(call.arguments).decode()
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}


def _attachment(attachment: Attachment) -> dict[str, Any]:
    url = f"data:{attachment.media_type};base64,{base64.b64encode(attachment.content).decode()}"
    if attachment.media_type.startswith("image/"):
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    return {"type": "input_file", "filename": attachment.name or "file", "file_data": url}
