"""Interceptors: plain callables that stand around what a mesh does with an envelope, one onion of them.

Which of two places one stands at, its kind says: a plain function around delivery, an `async def` around handling. A
mesh without any has neither onion, and no message pays for the possibility.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from ceylon.core.delivering import NextDelivery, intercepted
from ceylon.core.handlers import Behaviour
from ceylon.core.handling import NextHandling, around_handler
from ceylon.core.router import Router
from ceylon.errors import DefinitionError
from ceylon.messages import Envelope
from ceylon.settings import DEFAULTS

__all__ = ["Interceptor", "Interceptors", "sort_interceptors"]

Interceptor: TypeAlias = Callable[[Envelope, NextDelivery], None] | Callable[[Envelope, NextHandling], Awaitable[Any]]
"""A callable that is given an envelope and ``call_next``.

A plain function stands around **delivery**: it runs where something is sent, on the mesh's loop, before the router
looks for the mailbox; so it must not block. ``call_next(envelope)`` lets the envelope pass, once, also with another
message, recipient, trace or priority (``msgspec.structs.replace``); it returns before the envelope is in the mailbox.
Whatever the function raises becomes a `RejectedError` for the sender and a dead letter, ``rejected``; so does returning
without having called it. What the mesh itself sends (`Terminated`, dead letters) passes none.

An `async def` stands around **handling**: it runs in the place of the handler, in the agent's slot and time, whatever
kind that is. ``await call_next(envelope)`` runs the handler to its end, once, perhaps with another message, and returns
what it has returned: a list of the parts, or nothing where they were streamed. What the function returns is the reply;
it may leave the handler out. What it raises while the handler has not failed is a `RejectedError` for the asker; the
message has failed then, and the agent has not: no supervisor hears of it. Context variables that it sets are the
handler's too, also in a thread; it should reset them. Hooks and background tasks are no messages and pass none.
"""


class Interceptors:
    """The interceptors of one mesh, by the place they stand at; outermost first."""

    def __init__(
        self,
        delivery: Sequence[Callable[[Envelope, NextDelivery], None]],
        handling: Sequence[Callable[[Envelope, NextHandling], Awaitable[Any]]],
    ) -> None:
        self.delivery, self.handling = tuple(delivery), tuple(handling)
        self._behaviours: dict[Behaviour, Behaviour] = {}  # one for each class of agents

    def router(self, base: type[Router]) -> type[Router]:
        """Return what to route with: *base*, with the onion around every delivery if there is one."""
        return intercepted(base) if self.delivery else base

    def around(self, behaviour: Behaviour) -> Behaviour:
        """Return *behaviour* with the onion around every handler, if there is one."""
        if not self.handling:
            return behaviour
        made = self._behaviours.get(behaviour)
        if made is None:
            if len(self._behaviours) >= DEFAULTS.handler_types:  # of agents that each have one of their own
                self._behaviours.clear()
            made = behaviour.mapped(lambda handler: around_handler(handler, behaviour, self.handling))
            self._behaviours[behaviour] = made
        return made


def sort_interceptors(interceptors: Sequence[Interceptor]) -> Interceptors | None:
    """Return *interceptors* by the place they stand at; `None`: there are none.

    Raises:
        DefinitionError: one is no function of an envelope and ``call_next``.
    """
    if callable(interceptors):
        message = f"`interceptors` takes a list: interceptors=[{getattr(interceptors, '__name__', '...')}]"
        raise DefinitionError(message)
    given: list[Any] = list(interceptors)
    for each in given:
        _check(each)
    if not given:
        return None
    return Interceptors([each for each in given if not _is_async(each)], [each for each in given if _is_async(each)])


def _check(interceptor: Any) -> None:
    how = "an interceptor is `def` (around delivery) or `async def` (around handling), and takes (envelope, call_next)"
    if not callable(interceptor) or inspect.isgeneratorfunction(interceptor) or inspect.isasyncgenfunction(interceptor):
        message = f"{interceptor!r} is no interceptor: {how}"
        raise DefinitionError(message)
    try:
        inspect.signature(interceptor).bind(None, None)
    except ValueError:  # something in C that does not tell
        return
    except TypeError as error:
        message = f"{interceptor!r} is no interceptor: {error}; {how}"
        raise DefinitionError(message) from error


def _is_async(interceptor: object) -> bool:
    """Say whether calling it makes a coroutine; an object may be one by its ``__call__``."""
    own = getattr(type(interceptor), "__call__", None)  # noqa: B004 – its function, not whether there is one
    return inspect.iscoroutinefunction(interceptor) or inspect.iscoroutinefunction(own)
