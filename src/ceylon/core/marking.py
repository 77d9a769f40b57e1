"""Mark methods as handlers, and read from the marks which messages they take."""

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

import msgspec

from ceylon.core.hints import caller_locals, class_names, resolve_hints
from ceylon.core.subscriptions import WhenFull
from ceylon.errors import DefinitionError

__all__ = ["Mark", "accepted_types", "marked", "on"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__ceylon_on__"


class Mark(msgspec.Struct, frozen=True):
    """What `@on` leaves on a function."""

    topic: str | None
    inline: bool | None
    shielded: bool
    scope: dict[str, Any]
    group: str | None = None
    when_full: WhenFull = "wait"


@overload
def on(function: F, /) -> F: ...
@overload
def on(
    *,
    topic: str | None = None,
    group: str | None = None,
    when_full: WhenFull = "wait",
    inline: bool | None = None,
    shielded: bool = False,
) -> Callable[[F], F]: ...
def on(
    function: F | None = None,
    /,
    *,
    topic: str | None = None,
    group: str | None = None,
    when_full: WhenFull = "wait",
    inline: bool | None = None,
    shielded: bool = False,
) -> F | Callable[[F], F]:
    """Mark a method as the handler of the messages its first parameter is annotated with.

    Args:
        function: The method, where `@on` stands bare: ``(self, message)`` or ``(self, message, context)``.
        topic: Subscribe the agent to the topics this pattern matches; ``*`` is one word, ``**`` any number at the end.
        group: Subscribe as a member of this group: each message goes to one of the members, to each in turn, and past
            those that are full or have stopped. Default: the agent receives all of them.
        when_full: What happens to a publication that finds the agent's mailbox full: ``"wait"`` for room, as a tell
            does, or ``"refuse"`` it, so that no publisher ever waits for this agent.
        inline: Run a plain `def` on the event loop; for handlers that never block. Default: what the class says.
        shielded: Let the handler run to its end when its asker has left.

    Raises:
        DefinitionError: when the class is made, if the function could never be a handler.
    """
    if topic is None and (group is not None or when_full != "wait"):
        message = "`group` and `when_full` are about a topic; give @on that as well: @on(topic=..., group=...)"
        raise DefinitionError(message)

    def mark(method: F) -> F:
        function: object = method
        if not inspect.isfunction(function):
            message = f"@on is for methods of an agent, not for {method!r}"
            raise DefinitionError(message)
        setattr(method, _MARK, Mark(topic, inline, shielded, caller_locals(method), group, when_full))
        return method

    return mark if function is None else mark(function)


def marked(cls: type) -> list[tuple[Callable[..., Any], Mark]]:
    """Return the methods marked by `@on`, each in the version that *cls* has; an override keeps its base's mark."""
    marks: dict[str, Mark] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            mark = getattr(member, _MARK, None)
            if isinstance(mark, Mark):
                marks[name] = mark
    found = [(getattr(cls, name), mark) for name, mark in marks.items()]
    return [(function, mark) for function, mark in found if inspect.isfunction(function)]


def accepted_types(cls: type, function: Callable[..., Any], mark: Mark) -> tuple[type, ...]:
    """Return the types that the message parameter's annotation names."""
    where = f"{cls.__name__}.{function.__name__}"
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) < 2:  # noqa: PLR2004 – self and the message
        message = f"{where} is marked @on but takes no message; write (self, message) or (self, message, context)"
        raise DefinitionError(message)
    hint = resolve_hints(function, {**class_names(cls), **mark.scope}, names=[parameters[1]]).get(parameters[1])
    if hint is None:
        message = (
            f"{where} is marked @on but its message {parameters[1]!r} has no annotation; annotate it with the type "
            "it takes, or call the method on_message to take everything"
        )
        raise DefinitionError(message)
    return tuple(_flatten(hint, where))


def _flatten(hint: Any, where: str) -> list[type]:
    """Return the classes in *hint*: a class, or a union of classes."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return [found for part in typing.get_args(hint) for found in _flatten(part, where)]
    if origin is typing.Annotated:
        return _flatten(typing.get_args(hint)[0], where)
    if hint is Any:
        return [object]
    if not isinstance(hint, type):
        message = f"{where} takes {hint!r}, which is no class: write a class or a union of classes"
        raise DefinitionError(message)
    return [hint]
