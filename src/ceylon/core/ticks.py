"""`@every` and `@cron`: methods that run again and again by themselves.

A tick is a message in the agent's mailbox like any other: one thing at a time holds for it, the law counts it, and the
supervisor hears of its failure. The schedules are read once, when the class is made; their timers begin with the agent,
outlive its restarts and end with it.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from ceylon.core.durations import Duration, seconds_of
from ceylon.core.handlers import Handler
from ceylon.core.schedules import Cron, Every, Schedule
from ceylon.errors import DefinitionError
from ceylon.messages import Tick

__all__ = ["Ticking", "cron", "every", "ticking_of"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__ceylon_ticks__"


class Ticking(msgspec.Struct, frozen=True, eq=False):
    """What a class does again and again: the handlers by their names, and when."""

    handlers: dict[str, Handler]
    schedules: tuple[tuple[Schedule, Tick], ...]


def every(period: Duration, /) -> Callable[[F], F]:
    """Run a method every *period*: seconds, text such as ``"250ms"``, ``"5m"`` or ``"1h30m"``, or a `timedelta`.

    The method takes ``(self)`` or ``(self, context)``, and is `async def` or plain. It runs the first time one period
    after the agent's start. The times are those of the start: they do not drift, and a restart of the agent does not
    move them. While a tick waits for a busy agent, no other joins it.

    Raises:
        ArgumentError: that is no period.
        DefinitionError: that is no such method.
    """
    return _marking(Every(seconds_of(period, again=True)), "every")


def cron(expression: str, /, *, timezone: str | None = None) -> Callable[[F], F]:
    """Run a method whenever a cron expression says so; otherwise as `every` does.

    Needs the extra `cron`. What was missed while the machine slept, or the agent was busy, is made good by one run.

    Args:
        expression: Minute, hour, day, month, weekday: ``"0 9 * * mon-fri"``; with six fields seconds come first.
        timezone: Where these hours are meant, such as ``"Europe/Lisbon"``; by default UTC.

    Raises:
        ArgumentError: no such expression, one that never comes true, or no such zone.
        MissingPackageError: the extra `cron` is not installed.
        DefinitionError: that is no such method.
    """
    return _marking(Cron(expression, timezone), "cron")


def _marking(schedule: Schedule, name: str) -> Callable[[F], F]:
    def mark(marked: F) -> F:
        function: object = marked
        if not inspect.isfunction(function):
            message = f"@{name} is for methods of an agent, not for {marked!r}"
            raise DefinitionError(message)
        _check_signature(function, name)
        setattr(marked, _MARK, (schedule, *getattr(marked, _MARK, ())))  # the decorators run from below
        return marked

    return mark


def _check_signature(function: Callable[..., Any], name: str) -> None:
    """Raise `DefinitionError` unless *function* takes ``(self)`` or ``(self, context)`` and yields nothing."""
    shown = f"{function.__qualname__}{inspect.signature(function)}"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        message = f"{shown} yields, and nobody takes the parts of what @{name} runs; write a plain method"
        raise DefinitionError(message)
    try:
        positional, required = _count(function)
    except TypeError:
        positional = required = 0
    if not positional >= 1 or required > 2:  # noqa: PLR2004 – self and context
        message = f"{shown} cannot be run by @{name}: write (self) or (self, context)"
        raise DefinitionError(message)


def _count(function: Callable[..., Any]) -> tuple[int, int]:
    """Return how many positional parameters it has, and how many of them must be given.

    Raises:
        TypeError: another one must be given by name.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        raise TypeError
    positional = [each for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    return len(positional), sum(each.default is each.empty for each in positional)


def ticking_of(cls: type, *, inline: bool) -> Ticking | None:
    """Return what the marked methods of *cls* ask for, if there are any; an override keeps its base's mark."""
    marks: dict[str, tuple[Schedule, ...]] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            schedules: tuple[Schedule, ...] = getattr(member, _MARK, ()) if inspect.isfunction(member) else ()
            if schedules:
                marks[name] = schedules
    found = {name: function for name in marks if inspect.isfunction(function := getattr(cls, name, None))}
    if not found:
        return None
    return Ticking(
        handlers={name: _handler(name, function, inline=inline) for name, function in found.items()},
        schedules=tuple((schedule, Tick(name)) for name in found for schedule in marks[name]),
    )


def _handler(name: str, function: Callable[..., Any], *, inline: bool) -> Handler:
    """Return the handler that runs the method *function* for a `Tick`."""
    _check_signature(function, "every")  # an override has none of its own
    is_async = inspect.iscoroutinefunction(function)
    takes_context = _count(function)[0] > 1

    def run(agent: Any, _: Tick, *context: Any) -> Any:
        return function(agent, *context)

    return Handler(
        function=run,
        name=name,
        is_async=is_async,
        threaded=not is_async and not inline,
        yields=False,
        takes_context=takes_context,
        direct=is_async,
    )
