"""Actions as `ceylonai-next` spells them: objects with a name, a schema and `execute`, invoked by name."""

import contextlib
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

import msgspec

from ceylon.compat.checking import is_a, text_in
from ceylon.compat.contexts import PyAgentContext
from ceylon.compat.schemas import ANY_INPUTS, schema_of
from ceylon.compat.settling import as_runtime_error, finish
from ceylon.errors import ActionFailedError, ArgumentError, DefinitionError, UnknownActionError

__all__ = ["FunctionalAction", "PyAction", "PyToolInvoker", "_PyAction"]

_BY_HAND: Final = "system"  # the mesh that an action is told of when nobody in a mesh has invoked it
_INVOKER: Final = "tool_invoker"
_encode: Final = msgspec.json.encode


class _PyAction:  # its published name
    """The base of actions: what models are told of it, and what it does.

    Args:
        name: What models and programs call it.
        description: What models are told of it.
        input_schema: The JSON schema of its inputs, as text.
        output_schema: That of its result.
    """

    _ceylon_facts: "dict[str, Any] | None" = None

    def __new__(cls, name: str, description: str, input_schema: str, output_schema: str | None = None) -> Self:
        """Make an action; a subclass gives what it is called here or, with an `__init__` of its own, there."""
        made = object.__new__(cls)
        made._ceylon_describe(name, description, input_schema, output_schema)
        return made

    def __init__(self, *arguments: Any, **options: Any) -> None:
        if type(self).__new__ is _new_for_init and (arguments or options):
            _name(self, arguments, options)

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a subclass name itself in `__init__`, as the origin documents, though its own `__new__` forbids it."""
        super().__init_subclass__(**options)
        if "__init__" in vars(cls) and "__new__" not in vars(cls):
            cls.__new__ = _new_for_init  # type: ignore[method-assign, assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {(self._ceylon_facts or {}).get('name')!r}>"

    def execute(self, _context: PyAgentContext, _inputs: Any) -> Any:
        """Do it, with *_inputs*, a dictionary, and return the result; override this, by a plain or an async method."""
        return None

    def metadata(self) -> str:
        """Return the name, the description and both schemas, as one JSON object."""
        return _encode(self.__ceylon_facts__).decode()

    @property
    def __ceylon_facts__(self) -> dict[str, Any]:
        """What `metadata` says, as data.

        Raises:
            DefinitionError: nobody has given the action a name.
        """
        if self._ceylon_facts is None:
            name = type(self).__qualname__
            sentence = f"{name} has no name yet; let it call super().__init__(name, description)"
            raise DefinitionError(sentence)
        return self._ceylon_facts

    def _ceylon_describe(self, name: str, description: str, input_schema: str, output_schema: str | None) -> None:
        self._ceylon_facts = {
            "name": text_in("name", name),
            "description": text_in("description", description),
            "input_schema": _json("input_schema", input_schema),
            "output_schema": None if output_schema is None else _json("output_schema", output_schema),
        }


class PyAction(_PyAction):
    """An action to subclass; override `execute`. Without a schema its inputs are whatever a caller gives.

    Args:
        name: What models and programs call it.
        description: What models are told of it.
        input_schema: The JSON schema of its inputs, as text.
        output_schema: That of its result.
    """

    def __new__(
        cls, name: str, description: str, input_schema: str | None = None, output_schema: str | None = None
    ) -> Self:
        """Make an action."""
        if input_schema is None:
            input_schema = _encode(ANY_INPUTS).decode()
        return super().__new__(cls, name, description, input_schema, output_schema)


class FunctionalAction(PyAction):
    """An action made of a function; without a schema, of its type hints.

    Args:
        func: The function, plain or async. A parameter `context` is given the context.
        name: What models and programs call it.
        description: What models are told of it.
        input_schema: The JSON schema of its inputs, as text.
        output_schema: That of its result.
    """

    func: Callable[..., Any]

    def __new__(
        cls,
        func: Callable[..., Any],
        name: str,
        description: str,
        input_schema: str | None = None,
        output_schema: str | None = None,
    ) -> Self:
        """Make an action of *func*."""
        if input_schema is None:
            input_schema = _encode(schema_of(func)).decode()
        made = super().__new__(cls, name, description, input_schema, output_schema)
        made.func = func
        return made

    def execute(self, context: PyAgentContext, inputs: dict[str, Any]) -> Any:
        """Call the function with what of *inputs* it takes; what is missing is its default, or its error."""
        taken = inspect.signature(self.func).parameters
        named = {name: inputs[name] for name in taken if name in inputs and name != "context"}
        return self.func(**named, **({"context": context} if "context" in taken else {}))


class PyToolInvoker:
    """Actions by name."""

    def __init__(self) -> None:
        self._actions: dict[str, _PyAction] = {}

    def __repr__(self) -> str:
        return f"<PyToolInvoker {', '.join(self._actions)}>"

    @property
    def actions(self) -> Mapping[str, _PyAction]:
        """The actions, by name, in the order they were registered."""
        return types.MappingProxyType(self._actions)

    def register(self, action: _PyAction) -> None:
        """Take *action* in, in place of one of its name."""
        if not is_a(_PyAction, action):
            sentence = f"{action!r} is no action; wrap a function in FunctionalAction(function, name, description)"
            raise DefinitionError(sentence)
        self._actions[action.__ceylon_facts__["name"]] = action

    def invoke(self, name: str, inputs: str) -> str:
        """Run the action called *name* with *inputs*, a JSON object as text; return its result, as a JSON string.

        Raises:
            RuntimeError: there is no such action, or it failed.
            ValueError: *inputs* is not JSON.
        """
        return self.run(name, _json("inputs", inputs))

    def run(self, name: str, inputs: Mapping[str, Any]) -> str:
        """Run the action called *name*; see `invoke`. An async one runs on the loop of the process's own mesh."""
        action = self._actions.get(name)
        if action is None:
            raise as_runtime_error(UnknownActionError(_INVOKER, name, self._actions))
        try:
            result = action.execute(PyAgentContext(_BY_HAND), inputs)
            if inspect.isawaitable(result):
                result = _finished(result)
        except Exception as error:
            raise ActionFailedError(name, error) from error
        return _encode(str(result)).decode()


def _new_for_init(cls: type[_PyAction], *arguments: Any, **options: Any) -> _PyAction:
    """Make an action that its `__init__` names; these arguments do, if they can and it does not."""
    made = object.__new__(cls)
    with contextlib.suppress(TypeError, ValueError):  # they mean something else
        _name(made, arguments, options)
    return made


def _name(action: _PyAction, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Give *action* what an action of the published class has that is made with these arguments."""
    kind = FunctionalAction if isinstance(action, FunctionalAction) else PyAction
    vars(action).update(vars(kind(*arguments, **options)))


def _finished(awaitable: Any) -> Any:
    """Return what *awaitable* comes to; one that cannot be waited for here is closed, not forgotten."""

    async def wait() -> Any:
        return await awaitable

    try:
        return finish(wait)
    finally:
        if inspect.iscoroutine(awaitable):
            awaitable.close()


def _json(what: str, text: str) -> Any:
    """Return what *text* says.

    Raises:
        ArgumentError: it is not JSON.
    """
    try:
        return msgspec.json.decode(text_in(what, text))
    except msgspec.DecodeError as error:
        sentence = f"{what} is not JSON: {error}"
        raise ArgumentError(sentence) from error
