"""Actions: functions that other agents, users and language models may call by name.

`@action` marks a function and leaves it as it is. The mark, an `Action`, knows the name, the description and the JSON
schema of the arguments, and checks arguments before a call. A parameter called `context` is for the mesh and not in the
schema. A parameter without annotation takes anything. One whose default is `None` takes `None`, annotated so or not.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, Optional, TypeVar, overload

import msgspec

from ceylon.agents.binding import bind_arguments
from ceylon.agents.docstrings import Docstring, read_docstring
from ceylon.agents.schema import Arguments, Parameter, describe_arguments, members
from ceylon.agents.signature import Signature, read_signature, title
from ceylon.core.hints import caller_locals, class_names, resolve_hints
from ceylon.core.names import check_address
from ceylon.errors import DefinitionError

__all__ = ["Action", "action", "action_of", "actions_of", "as_action"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__ceylon_action__"
# What every model provider takes as the name of a tool.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Action(msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """A function that may be called by name.

    Types are read at first use, when classes defined further down exist too: so `schema`, `returns` and `bind` may
    raise `DefinitionError`. `scope` and `owner` are where the names in annotations are looked for.
    """

    function: Callable[..., Any]
    name: str
    stated_description: str | None = None
    docstring: str | None = None
    is_method: bool
    signature: Signature
    scope: Mapping[str, Any] = {}
    owner: type | None = None
    effect: bool = False
    approve: str = ""

    def __repr__(self) -> str:
        return f"<Action {self.name!r} {title(self.function)}>"

    @property
    def is_async(self) -> bool:
        """Whether its result must be awaited."""
        return self.signature.is_async

    @property
    def takes_context(self) -> bool:
        """Whether it has a parameter `context`."""
        return self.signature.takes_context

    @property
    def description(self) -> str:
        """What it does, as stated in the decorator, else in the docstring without the part about parameters."""
        return self._documentation.description if self.stated_description is None else self.stated_description

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments: an object, with nothing else allowed. Copy it before changing it."""
        return self._arguments.schema

    @cached_property
    def returns(self) -> Any:
        """The annotation of the result, `Any` where there is none."""
        return resolve_hints(self.function, self._names, names=["return"]).get("return", Any)

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return *arguments* as keyword arguments for the function, checked and converted; see `bind_arguments`.

        Raises:
            ActionArgumentsError: they do not fit; nothing was called.
        """
        return bind_arguments(self.name, self._arguments, arguments)

    @cached_property
    def _documentation(self) -> Docstring:
        return read_docstring(self.docstring)

    @cached_property
    def _arguments(self) -> Arguments:
        return describe_arguments(title(self.function), list(self._parameters()))

    @property
    def _names(self) -> dict[str, Any]:
        return {**(class_names(self.owner) if self.owner is not None else {}), **self.scope}

    def _parameters(self) -> Iterator[Parameter]:
        declared = self.signature.parameters
        hints = resolve_hints(self.function, self._names, names=declared)
        for name, parameter in declared.items():
            hint = hints.get(name, Any)
            hint = Any if hint is object else hint
            default = msgspec.UNSET if parameter.default is inspect.Parameter.empty else parameter.default
            if default is None and not any(member in (Any, type(None)) for member in members(hint)):
                hint = Optional[hint]  # noqa: UP045 – made at run time
            yield Parameter(name, hint, default, self._documentation.parameters.get(name, ""))


@overload
def action(function: F, /) -> F: ...
@overload
def action(
    *, name: str | None = None, description: str | None = None, effect: bool = False, approve: str | None = None
) -> Callable[[F], F]: ...
def action(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    effect: bool = False,
    approve: str | None = None,
) -> F | Callable[[F], F]:
    """Mark a method or function, sync or async, as an action.

    Args:
        function: What to mark, where `@action` stands bare.
        name: What callers say; by default the function's own name.
        description: What models and people read; by default the docstring without the part about parameters.
        effect: It changes the world (sends, pays, deletes): a model's call with one id runs it once at most, and
            nothing cuts it off half-way.
        approve: The agent that is asked first, each time, with the exact arguments; see `Approval`.

    Raises:
        DefinitionError: it could never be called by name: positional-only or variable parameters, a generator.
    """

    def mark(marked: F) -> F:
        approver = check_address(approve) if approve is not None else ""
        _mark(marked, name=name, stated_description=description, effect=effect, approve=approver)
        return marked

    return mark if function is None else mark(function)


def action_of(function: object) -> Action | None:
    """Return what `@action` left on *function*, if it did."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Action) else None


def actions_of(cls: type) -> dict[str, Action]:
    """Return the actions of *cls* by name, those of its bases first, each class's in the order of definition.

    A subclass that overrides an action needs no decorator: the name stays, and the docstring where it writes none, but
    the overriding function is called and its own signature makes the schema. To take an action away, set it to `None`.

    Raises:
        DefinitionError: two actions of one name, or one that is a static or class method.
    """
    found: dict[str, Action] = {}
    for owner in reversed(cls.__mro__):
        for attribute, value in vars(owner).items():
            marked = action_of(getattr(value, "__func__", value)) or found.get(attribute)
            if marked is None:
                continue
            if inspect.isfunction(value):
                found[attribute] = _owned(marked, value, owner)
            elif isinstance(value, (staticmethod, classmethod)):
                sentence = (
                    f"{owner.__qualname__}.{attribute}: an action is a plain method, not a static or class method"
                )
                raise DefinitionError(sentence)
            else:
                found.pop(attribute, None)
    return _by_name(found.values())


def as_action(function: Callable[..., Any]) -> Action:
    """Return *function* as an action: what `@action` says of it, or what its signature and docstring say.

    A bound method is an action of its object.

    Raises:
        DefinitionError: it is no function, or could never be called by name.
    """
    plain = getattr(function, "__func__", function)
    if not inspect.isfunction(plain):
        sentence = f"{function!r} is no function that a model could call; wrap it in a `def` with a docstring"
        raise DefinitionError(sentence)
    marked = action_of(plain)
    is_bound = plain is not function
    if marked is None:
        return _read(plain, name=plain.__name__, is_method=is_bound, docstring=plain.__doc__)
    return marked if marked.is_method is is_bound else msgspec.structs.replace(marked, is_method=is_bound)


def _mark(function: Callable[..., Any], *, name: str | None, **facts: Any) -> None:
    if not inspect.isfunction(function):
        sentence = f"@action is for functions and methods, not for {function!r}; put it below other decorators"
        raise DefinitionError(sentence)
    vars(function)[_MARK] = _read(
        function,
        name=function.__name__ if name is None else name,
        is_method=_is_in_class(function),
        docstring=function.__doc__,
        scope=caller_locals(function),
        **facts,
    )


def _by_name(actions: Iterable[Action]) -> dict[str, Action]:
    named: dict[str, Action] = {}
    for found in actions:
        other = named.setdefault(found.name, found)
        if other is not found:
            sentence = f"{title(other.function)} and {title(found.function)} are both actions called {found.name!r}"
            raise DefinitionError(sentence)
    return named


def _owned(marked: Action, function: Callable[..., Any], owner: type) -> Action:
    """Return *marked* as a method of *owner*, with the *function* that stands there now."""
    return _read(
        function,
        name=marked.name,
        is_method=True,
        stated_description=marked.stated_description,
        docstring=function.__doc__ or marked.docstring,
        scope=marked.scope,
        owner=owner,
        effect=marked.effect,
        approve=marked.approve,
    )


def _read(function: Callable[..., Any], *, name: str, is_method: bool, **facts: Any) -> Action:
    """Return the action that *function* is.

    Raises:
        DefinitionError: it could never be called by name.
    """
    if not _NAME.fullmatch(name):
        sentence = f"{title(function)}: {name!r} cannot name an action; pass `name=` with 1 to 64 of A-Z a-z 0-9 _ -"
        raise DefinitionError(sentence)
    signature = read_signature(function, is_method=is_method)
    return Action(function=function, name=name, is_method=is_method, signature=signature, **facts)


def _is_in_class(function: Callable[..., Any]) -> bool:
    scope = function.__qualname__.rpartition(".")[0]
    return bool(scope) and not scope.endswith("<locals>")
