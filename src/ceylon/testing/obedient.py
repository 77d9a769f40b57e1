"""A model that does as it is told: it calls what it must, with arguments of the schema, and answers by the schema.

For the contract of models: `ModelServer(reply=Obedient("a few words"))` and `ScriptedModel([Obedient("…").answer])`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ceylon.models.turns import Reply, Request, ToolCall, Usage
from ceylon.testing.saying import Said
from ceylon.testing.wishes import wish_of

if TYPE_CHECKING:
    from ceylon.testing.recorded import Recorded

__all__ = ["Obedient", "sample"]

_WORD: Final = "hello"
_FIRST: Final[Mapping[str, Any]] = {"string": _WORD, "integer": 0, "number": 0.5, "boolean": True, "null": None}


class Obedient:
    """Says *words*, unless a request wants a call or a schema."""

    def __init__(self, words: str = "as you wish") -> None:
        self._words = words

    def answer(self, request: Request) -> Reply[Any]:
        """Answer a request of the port, as a step of a `ScriptedModel`."""
        tools = [(tool.name, tool.parameters) for tool in request.tools]
        is_told = request.turns[-1].role == "tool"
        schema = None if request.output is None else request.output.schema
        said = self._obey(tools, request.tool_choice, schema, is_told=is_told)
        usage = Usage(input=len(request.turns), output=1)
        return Reply(text=said.text, calls=said.calls, usage=usage, finish="tool" if said.calls else "stop")

    def reply(self, request: "Recorded") -> Said:
        """Answer a request in any dialect of the `ModelServer`."""
        wish = wish_of(request.json)
        return self._obey(wish.tools, wish.choice, wish.schema, is_told=wish.is_told)

    def _obey(
        self, tools: Sequence[tuple[str, Any]], choice: str, schema: Mapping[str, Any] | None, *, is_told: bool
    ) -> Said:
        called = [each for each in tools if choice in {each[0], "auto", "required"}]
        if called and not (choice == "auto" and is_told):
            name, parameters = called[0]
            return Said(calls=(ToolCall("call_a", name, sample(parameters)),))
        return Said(text=self._words if schema is None else msgspec.json.encode(sample(schema)).decode())


def sample(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None) -> Any:
    """Return the simplest value of *schema*, as far as tools and output types use JSON schema."""
    known = schema.get("$defs", {}) if definitions is None else definitions
    if "$ref" in schema:
        return sample(known[schema["$ref"].rpartition("/")[2]], known)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return sample(choices[0], known)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kinds = schema.get("type", "string")
    kind = str(kinds if isinstance(kinds, str) else kinds[0])
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: sample(properties[name], known) for name in schema.get("required", ())}
    if kind == "array":
        return [sample(schema["items"], known) for _ in range(schema.get("minItems", 0))]
    value = _FIRST[kind]
    return max(value, schema.get("minimum", value)) if kind in {"integer", "number"} else value
