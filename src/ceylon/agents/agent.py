"""The base of every agent: a name, handlers, actions, options, and the hooks around its life."""

import difflib
import functools
import inspect
import math
import operator
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import msgspec

from ceylon.agents.action import Action, actions_of
from ceylon.agents.action_handlers import action_handler
from ceylon.core.composing import Composable
from ceylon.core.handlers import Behaviour
from ceylon.core.names import check_name
from ceylon.core.ports import DIRECTIVES, STRATEGIES, AgentOptions
from ceylon.core.ref import Ref
from ceylon.errors import (
    AgentInUseError,
    ArgumentError,
    DefinitionError,
    MeshClosedError,
)
from ceylon.messages import Envelope

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.ports import OnFailure, Strategy

__all__ = ["Agent"]

_OPTIONS: Final = AgentOptions.__struct_fields__
_ON_FAILURE: Final = _OPTIONS.index("on_failure")
_read_options = operator.attrgetter(*_OPTIONS)  # in one step: every agent that is started pays for it


class AgentMeta(type):
    """Reads a class's handlers once, and keeps what each agent was made with, so that it can be made again."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, namespace, **options)
        decide = namespace.get("on_failure")
        if inspect.isfunction(decide) and _is_no_method(decide):
            setattr(cls, "on_failure", staticmethod(decide))  # noqa: B010 – the class's, not the metaclass's
        inline = bool(getattr(cls, "inline", False))
        actions = actions_of(cls)
        cls.__ceylon_actions__: Mapping[str, Action] = MappingProxyType(actions)
        handlers = {key: action_handler(each, inline=inline) for key, each in actions.items()}
        cls.__ceylon_behaviour__ = Behaviour(cls, inline=inline, actions=handlers)

    @property
    def __signature__(cls) -> inspect.Signature:
        """What agents of this class are made with, as `help` and notebooks show it."""
        _, *parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
        return inspect.Signature(parameters)

    if not TYPE_CHECKING:  # which looks at `__init__` itself

        def __call__(cls, *arguments: Any, **options: Any) -> Any:
            """Make an agent."""
            try:
                made = super().__call__(*arguments, **options)
            except TypeError as error:
                _explain_misspelt(cls, options, error)
                raise
            try:
                made._name  # noqa: B018, SLF001 – asks whether Agent.__init__ has run
            except AttributeError:
                message = f"{cls.__name__}.__init__ must call super().__init__(name)"
                raise DefinitionError(message) from None
            made._made_with = arguments  # noqa: SLF001 – our own instance
            if options:  # apart, and mostly not there: of a million agents every object counts
                made._made_with_options = options  # noqa: SLF001 – likewise
            return made


class Agent(Composable, metaclass=AgentMeta):
    """An actor: private state, one mailbox, and one message at a time.

    Subclass it; mark methods with `@on` for the messages they take, define ``on_message(self, message, context=None)``
    for everything else, mark methods with `@action` for what others may call by name. `async def` runs on the event
    loop; plain `def` runs in a worker thread, so it may block.

    Optional hooks, sync or async: ``on_start(context)``, ``on_stop(context)``, ``on_restart(error, context)``; and
    ``async def lifespan(self, context)`` with one ``yield``, for what must be entered and left by one task.

    Attributes:
        concurrency: Messages handled at one time (1).
        inline: Run plain `def` handlers on the loop; for those that never block.
        mailbox_capacity: Envelopes that may wait (1,000).
        ask_timeout: Seconds an ask waits by default (30).
        on_failure: ``"resume"``, ``"restart"``, ``"stop"`` or ``"escalate"``, or a function of the error and the
            envelope that returns one of them.
        handler_timeout: Seconds a handler may take, whoever waits for it (no limit), or a generator for one part.
            One that takes longer fails; where its code runs on all the same, the agent begins again without it.
        strategy: Which of the agent's children begin again when one of them is restarted: ``"one_for_one"``,
            ``"one_for_all"`` or ``"rest_for_one"`` (it and those started after it).
        max_restarts: Restarts within `restart_period` before the agent is given up (5).
        restart_period: Seconds in which these are counted (30).
        critical: If the agent fails for good, the whole mesh does: leaving it raises `MeshFailedError`.
        reentrant: Let an ask that the agent's own handler waits for in, while that waits: its own chain may come back.
    """

    concurrency: int = 1
    inline: ClassVar[bool] = False
    mailbox_capacity: int | None = None
    ask_timeout: float | None = None
    on_failure: "OnFailure" = "resume"
    takes_keys: ClassVar[bool] = False
    handler_timeout: float | None = None
    strategy: "Strategy" = "one_for_one"
    max_restarts: int | None = None
    restart_period: float | None = None
    critical: bool = False
    reentrant: bool = False

    __ceylon_behaviour__: ClassVar[Behaviour]
    __ceylon_actions__: ClassVar[Mapping[str, Action]]

    _home_mesh: "Interior | None" = None  # beside the address, not in a tuple: that would be 72 bytes an agent
    _home_address: str = ""
    _made_with: tuple[Any, ...]
    _made_with_options: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, name: str) -> None:
        self._name = check_name(name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"

    @property
    def name(self) -> str:
        """The agent's name."""
        return self._name

    @property
    def actions(self) -> Mapping[str, Action]:
        """The agent's actions, by name."""
        return type(self).__ceylon_actions__

    @property
    def ref(self) -> Ref:
        """A handle on the agent where it lives.

        Raises:
            MeshClosedError: it is in no mesh.
        """
        if self._home is None:
            nowhere = "no mesh"
            raise MeshClosedError(nowhere, f"agent {self._name!r} is in none; add it to one first")
        return Ref(*self._home)

    @property
    def _home(self) -> "tuple[Interior, str] | None":
        """The mesh the agent is in, and its address there."""
        return None if self._home_mesh is None else (self._home_mesh, self._home_address)

    @property
    def __ceylon_home__(self) -> "tuple[Interior, str] | None":
        """The mesh that the agent is in, and its address there, for code of this package."""
        return self._home

    # -- what the mesh asks for ----------------------------------------------------------------------------------------

    @property
    def __ceylon_itself__(self) -> "Agent":
        """See `AgentLike`."""
        return self

    def __ceylon_options__(self) -> AgentOptions:
        """See `AgentLike`.

        Raises:
            ArgumentError: an option is out of its range.
            DefinitionError: `on_failure` is a function of something else.
        """
        values: tuple[Any, ...] = _read_options(self)
        on_failure = values[_ON_FAILURE]
        if not callable(on_failure):
            return _shared_options(*values)
        _check_takes_two(on_failure)
        # A method is the agent's own: sharing it would keep this agent alive.
        shared = _shared_options(*values[:_ON_FAILURE], "resume", *values[_ON_FAILURE + 1 :])
        return msgspec.structs.replace(shared, on_failure=on_failure)

    def __ceylon_claim__(self, interior: "Interior") -> None:
        """See `AgentLike`."""
        home = self._home_mesh
        if home is not None and not home.has_ended:
            raise AgentInUseError(self._name, home.name)

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """See `AgentLike`."""
        self._home_mesh, self._home_address = interior, address

    async def __ceylon_vacate__(self) -> None:
        """See `AgentLike`; a plain agent opened nothing."""

    def __ceylon_leave_home__(self) -> None:
        """See `AgentLike`."""
        self._home_mesh = None

    def __ceylon_serial_key__(self, envelope: Envelope) -> Hashable | None:
        """See `AgentLike`; a plain agent with several slots keeps nothing apart."""
        return None

    def __ceylon_expect__(self, envelope: Envelope) -> None:
        """See `AgentLike`; a plain agent has no use for it."""

    def __ceylon_rebuild__(self) -> Self:
        """See `AgentLike`."""
        return type(self)(*self._made_with, **self._made_with_options)

    def __ceylon_hook__(self, name: str) -> Callable[..., Any] | None:
        """See `AgentLike`."""
        hook: Callable[..., Any] | None = getattr(self, name, None)
        return hook


def _is_no_method(on_failure: Callable[..., Any]) -> bool:
    """Say whether this is a function of an error and an envelope that a class names, not a method with a ``self``."""
    parameters = list(inspect.signature(on_failure).parameters)
    return len(parameters) == 2 and parameters[0] != "self"  # noqa: PLR2004 – the error and the envelope


def _check_takes_two(on_failure: Callable[..., Any]) -> None:
    """Raise `DefinitionError` unless one can call *on_failure* with an error and an envelope."""
    try:
        inspect.signature(on_failure).bind(None, None)
    except TypeError:
        message = f"{on_failure!r} cannot be on_failure; it is called with two arguments, the error and the envelope"
        raise DefinitionError(message) from None
    except ValueError:  # one written in C, which does not say what it takes
        return


def _explain_misspelt(cls: type, options: Mapping[str, Any], error: TypeError) -> None:
    """Raise `DefinitionError` naming close matches if *error* is about an option that *cls* does not have."""
    parameters = inspect.signature(cls).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            close = difflib.get_close_matches(name, parameters, n=2) or list(parameters)
            message = f"{cls.__name__} has no option {name!r}; did you mean {' or '.join(map(repr, close))}?"
            raise DefinitionError(message) from error


@functools.lru_cache(maxsize=1024, typed=True)
def _shared_options(*values: Any) -> AgentOptions:
    """Return the options as one value, shared by all agents that have the same.

    Raises:
        ArgumentError: one is out of its range.
    """
    options = dict(zip(_OPTIONS, values, strict=True))
    for name in ("concurrency", "mailbox_capacity", "max_restarts"):
        number = options[name]
        least = 0 if name == "max_restarts" else 1
        is_whole = isinstance(number, int) and not isinstance(number, bool) and number >= least
        if not is_whole and not (number is None and name != "concurrency"):
            message = f"{name}={number!r} cannot be; it takes a whole number from {least}"
            raise ArgumentError(message)
    for name in ("ask_timeout", "handler_timeout", "restart_period"):
        seconds = options[name]
        if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
            message = f"{name}={seconds!r} cannot be; it takes seconds, a finite number above 0"
            raise ArgumentError(message)
    for name, choices in (("strategy", STRATEGIES), ("on_failure", DIRECTIVES)):
        if options[name] not in choices:
            message = f"{name}={options[name]!r} cannot be; it is one of {', '.join(choices)}"
            raise ArgumentError(message + (", or a function that returns one" * (name == "on_failure")))
    return AgentOptions(**options)
