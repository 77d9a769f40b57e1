"""What the model of an agent is offered: actions of `ceylonai-next` as ours takes them, and those of a memory."""

import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from ceylon.agents.action import Action
from ceylon.agents.signature import Signature
from ceylon.compat.actions import FunctionalAction, _PyAction
from ceylon.compat.contexts import PyAgentContext
from ceylon.compat.entries import PyMemoryEntry, PyMemoryQuery
from ceylon.errors import DefinitionError

__all__ = ["memory_actions", "tool_of"]

_FOUND: Final = 5  # entries that a model is given unless it says how many
_CONTENT: Final = {"content": {"type": "string", "description": "The information to save."}}
_QUERY: Final = {
    "query": {"type": "string", "description": "The query to search for."},
    "limit": {"type": "integer", "description": f"Max number of results (default {_FOUND})."},
}


class _Tool(Action, kw_only=True, frozen=True, eq=False, dict=True):
    """An action of `ceylonai-next` as a model of ours calls it: by its own schema, which checks nothing."""

    facts: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any]:
        """The schema it came with."""
        schema: dict[str, Any] = self.facts["input_schema"]
        return schema

    @cached_property
    def returns(self) -> Any:
        """Anything."""
        return Any

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return *arguments* as the dictionary that `execute` takes."""
        return {"inputs": dict(arguments)}


def tool_of(action: _PyAction) -> Action:
    """Return what an `LlmAgent` of ours takes for *action*: an async one runs on the loop, a plain one in a thread."""
    facts = action.__ceylon_facts__

    def run(context: Any, inputs: dict[str, Any]) -> Any:
        return action.execute(PyAgentContext(context.interior.name), inputs)

    async def run_async(context: Any, inputs: dict[str, Any]) -> Any:
        return await run(context, inputs)

    is_async = inspect.iscoroutinefunction(getattr(action, "func", action.execute))
    return _Tool(
        function=run_async if is_async else run,
        name=facts["name"],
        stated_description=facts["description"],
        is_method=False,
        signature=Signature(parameters={}, is_async=is_async, takes_context=True),
        facts=facts,
    )


def memory_actions(memory: Any) -> list[_PyAction]:
    """Return what the model of an agent with *memory* may call: ``save_memory`` and ``search_memory``."""
    if not callable(getattr(memory, "store", None)) or not callable(getattr(memory, "search", None)):
        sentence = f"{memory!r} is no memory; it takes an InMemoryBackend, a RedisBackend or a subclass of Memory"
        raise DefinitionError(sentence)

    def save(content: str) -> dict[str, str]:
        return {"status": "success", "id": str(memory.store(PyMemoryEntry(content)))}

    def search(query: str, limit: int = _FOUND) -> dict[str, list[str]]:
        found = memory.search(PyMemoryQuery.__ceylon_words__(query, limit))
        return {"results": [each.content for each in found]}

    return [
        FunctionalAction(
            save, "save_memory", "Save information to memory for later retrieval.", _inputs(_CONTENT, "content")
        ),
        FunctionalAction(search, "search_memory", "Search memory for relevant information.", _inputs(_QUERY, "query")),
    ]


def _inputs(properties: dict[str, Any], required: str) -> str:
    return msgspec.json.encode({"type": "object", "properties": properties, "required": [required]}).decode()
