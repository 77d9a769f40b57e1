"""What a request to the test server wants, in whichever dialect it says so: tools, one of them, a schema."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

__all__ = ["Wish", "wish_of"]

_Body: TypeAlias = Mapping[str, Any]

_CHOICES: Final = {"any": "required", "ANY": "required", "NONE": "none", "AUTO": "auto"}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A request as `ceylon.models.turns.Request` has it; `is_told` says that it ends with the results of calls."""

    tools: tuple[tuple[str, Any], ...] = ()
    choice: str = "auto"
    schema: Mapping[str, Any] | None = None
    is_told: bool = False


def wish_of(body: _Body) -> Wish:
    """Return what *body* wants."""
    if "contents" in body:
        return _of_gemini(body)
    if "input" in body:
        return _of_responses(body)
    tools = body.get("tools", ())
    if "output_config" in body or isinstance(body.get("system"), str) or any("input_schema" in tool for tool in tools):
        return _of_anthropic(body)
    functions = [tool["function"] for tool in tools]
    return Wish(
        tools=tuple((function["name"], function["parameters"]) for function in functions),
        choice=_choice(body.get("tool_choice", "auto"), "function"),
        schema=body.get("format") or body.get("response_format", {}).get("json_schema", {}).get("schema"),
        is_told=body["messages"][-1]["role"] == "tool",
    )


def _of_anthropic(body: _Body) -> Wish:
    choice = body.get("tool_choice", {"type": "auto"})
    return Wish(
        tools=tuple((tool["name"], tool["input_schema"]) for tool in body.get("tools", ())),
        choice=str(choice.get("name") or _CHOICES.get(choice["type"], choice["type"])),
        schema=body.get("output_config", {}).get("format", {}).get("schema"),
        is_told=body["messages"][-1]["content"][0]["type"] == "tool_result",
    )


def _of_gemini(body: _Body) -> Wish:
    config = body.get("toolConfig", {}).get("functionCallingConfig", {"mode": "AUTO"})
    (name,) = config.get("allowedFunctionNames", [""])
    declared = [each for tool in body.get("tools", ()) for each in tool["functionDeclarations"]]
    return Wish(
        tools=tuple((each["name"], each["parametersJsonSchema"]) for each in declared),
        choice=str(name or _CHOICES[config["mode"]]),
        schema=body.get("generationConfig", {}).get("responseJsonSchema"),
        is_told="functionResponse" in body["contents"][-1]["parts"][0],
    )


def _of_responses(body: _Body) -> Wish:
    return Wish(
        tools=tuple((tool["name"], tool["parameters"]) for tool in body.get("tools", ())),
        choice=_choice(body.get("tool_choice", "auto"), None),
        schema=body.get("text", {}).get("format", {}).get("schema"),
        is_told=body["input"][-1]["type"] == "function_call_output",
    )


def _choice(wanted: str | _Body, inside: str | None) -> str:
    if isinstance(wanted, str):
        return wanted
    named = wanted[inside] if inside else wanted
    return str(named["name"])
