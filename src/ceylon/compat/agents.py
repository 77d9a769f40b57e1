"""Agents as `ceylonai-next` spells them: a name that is a method, actions by an instance decorator, a last response."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from ceylon.compat.actions import FunctionalAction, PyToolInvoker
from ceylon.compat.answers import Told
from ceylon.compat.callers import caller
from ceylon.compat.contexts import PyAgentContext
from ceylon.compat.seats import Received, Text, text_of
from ceylon.compat.settling import block, finish, loop_runs
from ceylon.core import verbs
from ceylon.errors import HandlerError

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["Agent", "PyAgent"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__ceylon_compat_action__"
_NOWHERE: Final = "python"


class PyAgent:
    """The base of agents: a name, actions, and the last response.

    A subclass need not call ``super().__init__``: what agents need is there before.
    """

    tool_invoker: PyToolInvoker
    _agent_name: str = "agent"
    _last_response: Any = None
    _ceylon_place: "tuple[Interior, str] | None" = None

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Make an agent with the actions that its class marks."""
        made = super().__new__(cls)
        made.tool_invoker = PyToolInvoker()
        for attribute, (name, description) in _marked(cls):
            function = getattr(made, attribute)
            made.tool_invoker.register(FunctionalAction(function, name, description))
        return made

    def name(self) -> str:
        """Return what the agent is called."""
        return self._agent_name

    def act(self, action_name: str, inputs: Any) -> Any:
        """Run the action of this name with *inputs*, a dictionary, and return its result as text.

        Raises:
            RuntimeError: there is no such action, or it failed.
        """
        return self.tool_invoker.run(action_name, inputs)

    def get_last_response(self) -> str | None:
        """Return what the agent answered last."""
        return self._last_response  # type: ignore[no-any-return]

    def set_last_response(self, response: str | None) -> None:
        """Keep *response* as what the agent answered last."""
        self._last_response = response

    # -- what a mesh asks for ------------------------------------------------------------------------------------------

    def __ceylon_receiver__(self, mesh: str) -> Received:
        """See `Tenant`."""
        context = PyAgentContext(mesh)

        def handle(said: Text) -> Any:  # whatever is the agent's handler by then
            return getattr(self, "on_message", _say_nothing)(said.payload, context)

        if inspect.iscoroutinefunction(getattr(self, "on_message", _say_nothing)):

            async def receive(said: Text) -> Any:
                return self._ceylon_keep(await handle(said))

            return Received(receive, is_async=True)
        return Received(lambda said: self._ceylon_keep(handle(said)), is_async=False)

    def __ceylon_move_in__(self, interior: "Interior", address: str) -> None:
        """Take note of the mesh the agent is in, and of its address there."""
        self._ceylon_place = (interior, address)

    def _ceylon_keep(self, response: Any) -> Any:
        """Keep *response* as the last one, now or when it is there."""
        if inspect.iscoroutine(response):
            return self._ceylon_keep_later(response)
        self.set_last_response(response)
        return response

    async def _ceylon_keep_later(self, response: Awaitable[Any]) -> Any:
        return self._ceylon_keep(await response)


class Registering:
    """``@agent.action(...)`` of one agent, or of a class."""

    def __init__(self, agent: "Agent | None") -> None:
        self._agent = agent

    def __call__(self, name: str | None = None, description: str = "") -> Callable[[F], F]:
        """Make the function below an action of the agent; in the body of a class, the method one of each instance.

        Args:
            name: What it is called; by default as the function.
            description: What models are told of it; by default the docstring.
        """

        def decorator(function: F) -> F:
            if self._agent is None:
                setattr(function, _MARK, _titles(function, name, description))
            else:
                self._agent.__ceylon_register__(function, name, description)
            return function

        return decorator


class ActionDecorator:
    """Knows whether it was an agent or its class that was asked for `action`."""

    def __get__(self, agent: "Agent | None", owner: type) -> Registering:
        return Registering(agent)


class Agent(PyAgent):
    """An agent: override `on_message`, and give it actions by ``@agent.action(...)``.

    In a mesh it handles one message at a time: a plain `on_message` in a thread, where it may block, an async one on
    the mesh's loop. What it returns is the reply. Messages are text, as in `ceylonai-next`. Optional, and called:
    ``on_start(context)`` when a mesh takes the agent in, ``on_stop(context)`` when the mesh stops.

    Args:
        name: What it is called.
    """

    def __init__(self, name: str = "agent") -> None:
        self._agent_name = name

    action: ClassVar = ActionDecorator()

    def __ceylon_register__(self, function: Callable[..., Any], name: str | None, description: str) -> None:
        """Make an action of *function*."""
        self.tool_invoker.register(FunctionalAction(function, *_titles(function, name, description)))

    def on_message(self, message: Any, context: PyAgentContext | None = None) -> Any:  # noqa: ARG002 – for subclasses
        """Handle *message* and return the response, or nothing; override this, by a plain or an async method."""
        return None

    def send_message(self, message: str) -> Any:
        """Hand *message* to `on_message` and return its response.

        An agent in a mesh takes it in its turn there, one in none takes it here and now. If `on_message` is async and
        a loop runs here, the response is to be awaited.
        """
        if inspect.iscoroutinefunction(self.on_message):
            return self._ceylon_send_async(message)
        who, place = caller(), self._ceylon_place
        if place is not None and place[0].is_open and not place[0].gateway.is_inside():
            return block(place[0], "send_message", lambda: self._ceylon_ask(place, message, who))
        return _said(self._ceylon_keep(self.on_message(message, PyAgentContext(_NOWHERE))))

    def _ceylon_send_async(self, message: str) -> Any:
        who, place = caller(), self._ceylon_place

        async def send() -> Any:
            if place is not None and place[0].is_open:
                return await self._ceylon_ask(place, message, who)
            return _said(self._ceylon_keep(await self.on_message(message, PyAgentContext(_NOWHERE))))

        if loop_runs():
            return send()
        answer = finish(send)
        return Told(answer) if isinstance(answer, str) else answer

    async def _ceylon_ask(self, place: "tuple[Interior, str]", message: str, who: str) -> Any:
        """Ask the agent in its mesh; an error is raised as the handler raised it."""
        interior, address = place
        source = verbs.source_in(interior)
        try:
            seconds = interior.settings.submit_timeout  # long work, and finite
            return _said(await verbs.ask(interior, source, address, Text(message, who), seconds))
        except HandlerError as error:
            root = error.root
        raise root from root.__cause__

    def last_response(self) -> str | None:
        """Return what the agent answered last, by whichever way it was asked."""
        return self.get_last_response()


def _say_nothing(message: Any, context: PyAgentContext) -> None:
    """Stand for the `on_message` of an agent that has none."""
    del message, context


def _said(response: Any) -> Any:
    return text_of(None) if response is None else response


def _titles(function: Callable[..., Any], name: str | None, description: str) -> tuple[str, str]:
    return name or function.__name__, description or function.__doc__ or ""


def _marked(cls: type) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the marked methods of *cls*, those of its bases first, as attribute, name and description."""
    found: dict[str, tuple[str, str]] = {}
    for owner in reversed(cls.__mro__):
        for attribute, value in vars(owner).items():
            mark = getattr(value, _MARK, None)
            if mark is not None:
                found[attribute] = mark
    yield from found.items()
