"""How agents are made that nobody adds one by one: those of a family, one for each key, and the members of a pool."""

import contextvars
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ceylon.core.names import check_name, family_name
from ceylon.core.ports import as_agent
from ceylon.errors import DefinitionError

if TYPE_CHECKING:
    from ceylon.core.ports import AgentLike, AgentSource

__all__ = ["Maker", "Makes", "in_the_making"]

Makes: TypeAlias = "type[AgentLike] | Callable[[str], AgentLike | AgentSource]"
"""A class whose instances are made with a name and nothing else, or a function of the key that returns an agent.

It may return what an agent is made of, too: a pipeline.
"""

in_the_making: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("ceylon_in_the_making", default=False)
"""Whether an agent is just being made for a key: whatever its constructor is called with, its name is the family's."""


class Maker:
    """Makes the agents of one name. `cls` is their class where that was given, for `mesh.ref(Shop, key=...)`."""

    def __init__(self, makes: Makes, name: str | None, verb: str) -> None:
        self.cls = makes if isinstance(makes, type) else None
        if self.cls is not None:
            self.name = check_name(name) if name is not None else family_name(self.cls)
            _check_class(self.cls, self.name, verb)
        else:
            _check_function(makes, name, verb)
            self.name = check_name(name)
        self._makes: Callable[[str], Any] = makes

    def make(self, key: str) -> "AgentLike":
        """Return the agent for *key*.

        Raises:
            DefinitionError: that is no agent, or one that has keys of its own.
        """
        token = in_the_making.set(True)
        try:
            made = self._makes(self.name if self.cls is not None else key)
        finally:
            in_the_making.reset(token)
        agent = _agent_of(made)
        if agent.__ceylon_options__().takes_keys:
            message = (
                f"{agent!r} keeps a conversation for every key by itself and has `concurrency` for many at a time; "
                "add it with `mesh.add`"
            )
            raise DefinitionError(message)
        agent.__ceylon_be_keyed__(self.name, key)
        return agent


def _agent_of(made: object) -> "AgentLike":
    """Return *made*, or the agent that is made of it, a pipeline; a coroutine is closed, or Python warns of it besides.

    Raises:
        DefinitionError: it is none, and none can be made of it.
    """
    if inspect.iscoroutine(made):
        made.close()
    return as_agent(made)


def _check_class(cls: type, name: str, verb: str) -> None:
    """Raise `DefinitionError` unless *cls* is a class of agents that can be made with a name alone."""
    if not hasattr(cls, "__ceylon_behaviour__"):
        message = f"{cls.__name__} is no class of agents; `{verb}` takes a subclass of ceylon.Agent"
        raise DefinitionError(message)
    try:
        inspect.signature(cls).bind(name)
    except TypeError as error:
        message = (
            f"{cls.__name__} is not made with a name and nothing else ({error}); "
            f'give `{verb}` a function that makes one: mesh.{verb}(lambda key: {cls.__name__}(...), "{name}")'
        )
        raise DefinitionError(message) from None


def _check_function(makes: Any, name: object, verb: str) -> None:
    """Raise `DefinitionError` unless *makes* is a function of a key, for which there is a name."""
    if hasattr(makes, "__ceylon_behaviour__"):
        message = f"{makes!r} is one agent; `{verb}` makes many: give it the class, {type(makes).__name__}"
        raise DefinitionError(message)
    if not callable(makes):
        message = f"`{verb}` takes a class of agents or a function of a key that returns one, not {makes!r}"
        raise DefinitionError(message)
    if name is None:
        message = f'a function says no name; give one: mesh.{verb}({getattr(makes, "__name__", "...")}, "name")'
        raise DefinitionError(message)
    try:
        inspect.signature(makes).bind("key")
    except TypeError:
        message = f"{makes!r} cannot make agents; `{verb}` calls it with one argument, the key"
        raise DefinitionError(message) from None
    except ValueError:  # one written in C, which does not say what it takes
        return
