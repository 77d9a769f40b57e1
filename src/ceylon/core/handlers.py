"""Which function of an agent takes which message: read once, when the class is made.

`Behaviour` collects the methods of a class that `@on` has marked and answers "who takes this message?" for the
dispatcher. Whether a handler is sync or async, takes a context, or yields is decided here and never asked again.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.core.marking import Mark, accepted_types, marked
from ceylon.core.subscriptions import Interest, interest_in
from ceylon.core.topics import TopicPattern
from ceylon.errors import DefinitionError, UnhandledMessageError, UnknownActionError
from ceylon.messages import ActionCall, Envelope, Tick, type_name
from ceylon.settings import DEFAULTS

if TYPE_CHECKING:
    from ceylon.core.ticks import Ticking

__all__ = ["Behaviour", "Handler", "Refusal", "make_handler"]


class Refusal(Exception):  # noqa: N818 – it never reaches a user; the error inside does
    """Raised around a handler to give the asker `error` as it is: the mistake was the asker's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Handler(msgspec.Struct, frozen=True, eq=False):
    """One function of an agent class, with all that the dispatcher must know to call it.

    `threaded`: runs in a worker thread. `yields`: is a generator function, sync or async. `shielded`: runs to its end
    although its asker has left.
    """

    function: Callable[..., Any]
    name: str
    is_async: bool
    threaded: bool
    yields: bool
    takes_context: bool
    shielded: bool = False
    direct: bool = False  # an async function whose result can be awaited right away: the dispatcher's short road


class Behaviour:
    """What a class of agents does: its handlers, hooks and options, shared by all its instances."""

    def __init__(
        self, cls: type, *, inline: bool, actions: Mapping[str, Handler], ticking: "Ticking | None" = None
    ) -> None:
        self.cls = cls
        self.actions = actions
        self.ticking = ticking  # what agents of this class do by themselves, again and again
        self._inline = inline
        self._by_type: dict[type, Handler] = {}
        self._topics: list[tuple[TopicPattern, Handler, tuple[type, ...]]] = []
        self.interests: tuple[Interest, ...] = ()  # what agents of this class subscribe to
        self._unread: list[tuple[Callable[..., Any], Mark]] = list(marked(cls))
        self.found: dict[type, Handler | None] = {}  # by what `find` remembers; the dispatcher looks here first
        self._timed: Behaviour | None = None  # made when the first agent needs it
        catch_all = getattr(cls, "on_message", None)
        self._catch_all = None if catch_all is None else make_handler(catch_all, inline=inline)
        self.read(final=False)

    def read(self, *, final: bool) -> None:
        """Read the annotations of the marked methods; those that name classes still to come wait until *final*.

        Raises:
            DefinitionError: an annotation is missing, is no type, or two handlers take one type.
        """
        unread, self._unread = self._unread, []
        for function, mark in unread:
            try:
                accepted = accepted_types(self.cls, function, mark)
            except DefinitionError as error:
                if final or not isinstance(error.__cause__, NameError):
                    raise
                self._unread.append((function, mark))
                continue
            self._register(function, mark, accepted)

    def _register(self, function: Callable[..., Any], mark: Mark, accepted: tuple[type, ...]) -> None:
        inline = self._inline if mark.inline is None else mark.inline
        handler = make_handler(function, inline=inline, shielded=mark.shielded)
        if mark.topic is not None:
            interest = interest_in(mark.topic, mark.group, mark.when_full)
            self._topics.append((interest.pattern, handler, accepted))
            self.interests += (interest,)
            return
        for message_type in accepted:
            other = self._by_type.setdefault(message_type, handler)
            if other is not handler:
                message = (
                    f"{self.cls.__name__}.{other.name} and {self.cls.__name__}.{handler.name} both take "
                    f"{message_type.__name__}; one handler a type"
                )
                raise DefinitionError(message)

    def mapped(self, change: Callable[[Handler], Handler]) -> "Behaviour":
        """Return the same behaviour with every handler changed."""
        self.read(final=True)
        made = copy.copy(self)
        vars(made).update(
            actions={name: change(handler) for name, handler in self.actions.items()},
            _by_type={accepted: change(handler) for accepted, handler in self._by_type.items()},
            _topics=[(pattern, change(handler), accepted) for pattern, handler, accepted in self._topics],
            _catch_all=None if self._catch_all is None else change(self._catch_all),
            found={},
            _timed=None,
        )
        if made.ticking is not None:
            ticks = {name: change(handler) for name, handler in made.ticking.handlers.items()}
            made.ticking = msgspec.structs.replace(made.ticking, handlers=ticks)
        return made

    def timed(self) -> "Behaviour":
        """Return the same behaviour for agents with a `handler_timeout`: no handler takes the short road."""
        if self._timed is None:
            self._timed = self.mapped(lambda handler: msgspec.structs.replace(handler, direct=False))
        return self._timed

    def find(self, envelope: Envelope) -> Handler:
        """Return the handler for *envelope*.

        Raises:
            Refusal: there is none.
        """
        if envelope.topic is None:
            message_type: type[Any] = envelope.message.__class__
            known = self.found.get(message_type)  # an `ActionCall` never is
            if known is not None:
                return known
        return self._search(envelope)

    def _search(self, envelope: Envelope) -> Handler:
        message = envelope.message
        message_type: type[Any] = message.__class__
        if message_type is ActionCall:
            return self._find_action(envelope.recipient, message.action)
        if message_type is Tick and self.ticking is not None and message.name in self.ticking.handlers:
            return self.ticking.handlers[message.name]
        if envelope.topic is not None:
            for pattern, handler, accepted in self._topics:
                if pattern.matches(envelope.topic) and isinstance(message, accepted):
                    return handler
        try:
            handler_or_none = self.found[message_type]
        except KeyError:
            handler_or_none = self._find_by_type(message_type)
        if handler_or_none is None:
            raise Refusal(UnhandledMessageError(envelope.recipient, type_name(message), self.handled()))
        return handler_or_none

    def handler_of(self, message_type: type) -> Handler | None:
        """Return the handler that a message of this type gets, if there is one; topics apart."""
        self.read(final=True)
        found = self.found.get(message_type)
        return self._find_by_type(message_type) if found is None else found

    def accepted(self) -> tuple[type, ...] | None:
        """Return the types that have a handler; `None` if the agent takes anything."""
        self.read(final=True)
        return None if self._catch_all is not None else tuple(self._by_type)

    def handled(self) -> list[str]:
        """Name the types that have a handler."""
        return sorted(message_type.__name__ for message_type in self._by_type)

    def _find_action(self, address: str, action: str) -> Handler:
        try:
            return self.actions[action]
        except KeyError:
            raise Refusal(UnknownActionError(address, action, self.actions)) from None

    def _find_by_type(self, message_type: type) -> Handler | None:
        """Find the handler of the most specific type, and remember it within bounds."""
        handler = next((self._by_type[base] for base in message_type.__mro__ if base in self._by_type), self._catch_all)
        if len(self.found) < DEFAULTS.handler_types:
            self.found[message_type] = handler
        return handler


def make_handler(function: Callable[..., Any], *, inline: bool, shielded: bool = False, name: str = "") -> Handler:
    """Read the signature of *function*, an unbound method, into a `Handler`.

    Raises:
        DefinitionError: it takes neither ``(self, message)`` nor ``(self, message, context)``.
    """
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    required = [p for p in positional if p.default is p.empty]
    if len(positional) < 2 or len(required) > 3 or named:  # noqa: PLR2004 – self, message, context
        shown = f"{function.__qualname__}{inspect.signature(function)}"
        message = f"{shown} is no handler: write (self, message) or (self, message, context)"
        raise DefinitionError(message)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return Handler(
        function=function,
        name=name or function.__name__,
        is_async=is_async,
        threaded=not is_async and not inline,
        yields=yields,
        takes_context=len(positional) > 2,  # noqa: PLR2004 – self, message, context
        shielded=shielded,
        direct=is_async and not yields,
    )
