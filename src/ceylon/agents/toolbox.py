"""All that one model may call in one turn, by name."""

import difflib
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ceylon.agents.action import Action, as_action
from ceylon.agents.agent import Agent
from ceylon.agents.callees import AgentAction, AgentCallee, Callee, HandoffCallee, LlmCallee, OwnAction
from ceylon.core.names import split_key
from ceylon.core.ref import BlockingRef, Ref
from ceylon.errors import ArgumentError, DefinitionError, MeshClosedError, UnknownAgentError
from ceylon.models.turns import Tool

if TYPE_CHECKING:
    from ceylon.core.interior import Interior

__all__ = ["NO_TOOLS", "Toolbox", "are_fixed", "callees_of", "check_handoffs", "check_tools"]

_WORDS: Final = ("auto", "none", "required")  # what `tool_choice` says besides a name
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


class Toolbox(Mapping[str, Callee]):
    """What may be called, by the name the model uses."""

    def __init__(self, callees: Iterable[Callee]) -> None:
        self._callees: dict[str, Callee] = {}
        for callee in callees:
            self._add(callee)
        self.tools: tuple[Tool, ...] = tuple(callee.tool for callee in self._callees.values())

    def __getitem__(self, name: str) -> Callee:
        return self._callees[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._callees)

    def __len__(self) -> int:
        return len(self._callees)

    def check_choice(self, choice: str) -> str:
        """Return *choice* if it can be made.

        Raises:
            ArgumentError: it names nothing that may be called, or forces a call where there is nothing to call.
        """
        if choice in {"auto", "none"} or choice in self._callees or (choice == "required" and self._callees):
            return choice
        message = f"tool_choice={choice!r} cannot be; it is 'auto', 'none', 'required' or the name of a tool"
        if not self._callees:
            message = f"tool_choice={choice!r} cannot be, because the agent has no tools"
        raise ArgumentError(message)

    def unknown(self, name: str) -> str:
        """Return what to tell a model that calls a *name* which is none."""
        close = difflib.get_close_matches(name, self._callees, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(self._callees) or 'none'}"
        return f"there is no tool {name[:100]!r}; {hint}"

    def _add(self, callee: Callee) -> None:
        name = callee.tool.name
        if name in _WORDS:
            sentence = f"no tool may be called {name!r}, which `tool_choice` means otherwise; give it another name"
            raise DefinitionError(sentence)
        if name in self._callees:
            sentence = f"two tools are called {name!r}; give one another name: @action(name=...)"
            raise DefinitionError(sentence)
        self._callees[name] = callee


NO_TOOLS: Final = Toolbox(())


def check_tools(tools: Iterable[Any]) -> None:
    """Look at what an agent is given as tools, as far as one can without a mesh.

    Raises:
        ArgumentError: one is neither a function nor an agent.
        DefinitionError: a function could never be called by name.
    """
    for entry in tools:
        if isinstance(entry, (Action, Agent, Ref, BlockingRef, str)):
            continue
        if not callable(entry) or isinstance(entry, type):
            message = f"tools={entry!r} cannot be; it takes functions, refs and agents"
            raise ArgumentError(message)
        _ = as_action(entry).schema


def check_handoffs(handoffs: Iterable[Any]) -> None:
    """Look at the agents that an agent may hand conversations to, as far as one can without a mesh.

    Raises:
        ArgumentError: one is no agent, or none with a model.
    """
    for entry in handoffs:
        target = entry.__ceylon_target__ if isinstance(entry, (Ref, BlockingRef)) else entry
        if isinstance(entry, (Ref, BlockingRef, str)) and (target is None or isinstance(entry, str)):
            continue
        if not isinstance(target, Agent) or not _has_model(target):
            message = f"handoffs={entry!r} cannot be; it takes agents with a model, refs of such, and addresses"
            raise ArgumentError(message)


def callees_of(
    agent: Agent, tools: Iterable[Any], interior: "Interior", handoffs: Iterable[Any] = ()
) -> Iterator[Callee]:
    """Yield what *agent* lets its model call: its own actions first, then *tools* in their order, then *handoffs*.

    Raises:
        UnknownAgentError: an agent among them is in no mesh.
    """
    for action in agent.actions.values():
        yield OwnAction(action, weakref.ref(agent))  # it holds the toolbox
    given = [entry if _is_agent(entry) else _of_function(entry) for entry in tools]
    taken = {*agent.actions, *(entry.tool.name for entry in given if isinstance(entry, OwnAction))}
    for entry in given:
        if isinstance(entry, OwnAction):
            yield entry
        else:
            yield from _of_agent(_ref_of(entry, interior), taken, interior)
    for entry in handoffs:
        yield _of_handoff(_handoff_ref(entry, interior), interior)


def are_fixed(tools: Iterable[Any]) -> bool:
    """Say whether *tools* are functions, which stay what they are; an agent may go, and come again as another."""
    return not any(map(_is_agent, tools))


def _is_agent(entry: Any) -> bool:
    return isinstance(entry, (Agent, Ref, BlockingRef, str))


def _handoff_ref(entry: "Agent | Ref | BlockingRef | str", interior: "Interior") -> Ref:
    """Return where *entry* lives; an agent that is in no mesh may still come to this one, under its name."""
    try:
        return _ref_of(entry, interior)
    except UnknownAgentError as error:
        return Ref(interior, error.address)


def _of_handoff(ref: Ref, interior: "Interior") -> Callee:
    """Return what hands a conversation to the agent behind *ref*; that one is gone is found when it is called."""
    if ref != Ref(interior, ref.address):
        message = f"handoffs: {ref.address!r} is in another mesh, which no conversation goes to; give it as a tool"
        raise ArgumentError(message)
    target = ref.__ceylon_target__
    if target is not None and not _has_model(target):
        message = f"handoffs: {ref.address!r} has no model, so it cannot go on with a conversation; give it as a tool"
        raise ArgumentError(message)
    return HandoffCallee(ref, f"transfer_to_{_name_of(ref)}"[:64], "" if target is None else describe_agent(target))


def _of_function(function: Action | Callable[..., Any]) -> OwnAction:
    if isinstance(function, Action):
        return OwnAction(function)
    owner = getattr(function, "__self__", None)
    return OwnAction(as_action(function), lambda: owner)


def _ref_of(entry: "Agent | Ref | BlockingRef | str", interior: "Interior") -> Ref:
    """Return where *entry* lives.

    Raises:
        UnknownAgentError: it is in no mesh.
    """
    if isinstance(entry, str):
        return Ref(interior, entry)
    if not isinstance(entry, Agent):
        return entry.__ceylon_awaited__
    try:
        return entry.ref
    except MeshClosedError as error:  # the mesh of the turn is not, and its end is what that error would mean
        raise UnknownAgentError(entry.name, interior.router.cells) from error


def _of_agent(ref: Ref, taken: set[str], interior: "Interior") -> Iterator[Callee]:
    """Yield the actions of the agent behind *ref*; one that has none, or that has a model, is asked itself."""
    if ref.__ceylon_mesh__ is interior:
        interior.router.wake(ref.address)
    target = ref.__ceylon_target__
    if target is None:
        raise UnknownAgentError(ref.address, interior.router.cells)
    name = _name_of(ref)[:64]
    if _has_model(target):
        yield LlmCallee(ref, name, describe_agent(target))
        return
    actions: Mapping[str, Action] = getattr(target, "actions", {})
    if not actions:
        yield AgentCallee(ref, name, describe_agent(target))
    for action in actions.values():
        called = action.name if action.name not in taken else f"{name}_{action.name}"[-64:]
        taken.add(called)
        yield AgentAction(ref, action, called)


def _name_of(ref: Ref) -> str:
    """Return what a model calls the agent behind *ref*; its address in the default mesh has a number of that run."""
    address, key = split_key(ref.address)
    target = ref.__ceylon_target__
    name = address if target is None else target.name
    return _NOT_IN_A_NAME.sub("_", f"{name}/{key}" if key else name)


def _has_model(agent: object) -> bool:
    return hasattr(agent, "__ceylon_llm_setup__")


def describe_agent(agent: Any) -> str:
    """Return what a model is told of *agent*: its description, else the first paragraph of its class's docstring."""
    said = getattr(agent, "description", None)
    if said:
        return str(said)
    own: dict[str, Any] = dict(agent.__class__.__dict__)
    is_ours = str(own["__module__"]).partition(".")[0] == "ceylon"
    docstring = "" if is_ours else str(own.get("__doc__") or "")
    return docstring.strip().partition("\n\n")[0] or f"Ask the agent {agent.name!r}."
