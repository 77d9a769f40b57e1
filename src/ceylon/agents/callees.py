"""What a model may call: an agent's own actions, plain functions, other agents' actions, other agents themselves."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeAlias

import msgspec

from ceylon.agents.action import Action, as_action
from ceylon.agents.approvals import admitted
from ceylon.agents.prompts import Prompt, Transfer
from ceylon.core.invocation import call_as
from ceylon.errors import ArgumentError, IncompleteStreamError, UnknownAgentError
from ceylon.models.turns import AgentPart, Part, Reply, ReplyPart, Tool, ToolCall, Usage, cost_of_both

if TYPE_CHECKING:
    from ceylon.core.context import Context
    from ceylon.core.ref import Ref

__all__ = [
    "AgentAction",
    "AgentCallee",
    "Callee",
    "Emit",
    "HandoffCallee",
    "LlmCallee",
    "OwnAction",
    "Scene",
    "Tally",
    "is_there",
]

Emit: TypeAlias = Callable[[Part], Awaitable[None]]
"""Sends a part to whoever takes the answer as a stream."""


def _ask(query: Annotated[str, msgspec.Meta(description="What to ask, with all that it needs to know.")]) -> None:
    """Stand for the question that an agent may be asked."""
    del query


_QUESTION: Final = msgspec.structs.replace(as_action(_ask), name="ask")


def _transfer(reason: Annotated[str, msgspec.Meta(description="Why, in a few words.")] = "") -> None:
    """Stand for the reason of a handoff."""
    del reason


_REASON: Final = msgspec.structs.replace(as_action(_transfer), name="transfer")


class Tally:
    """What a turn has cost so far: the agent's own requests, and those of agents that were asked in its course."""

    # Of the class, because nearly every turn is one request, and sets them then.
    usage = Usage()
    cost: float | None = 0.0
    requests = 0
    transfer: Transfer | None = None  # the model wants another agent to go on

    def add(self, reply: Reply[Any]) -> None:
        """Add what *reply* took; one request of an unknown price makes the sum unknown."""
        self.usage = self.usage + reply.usage if self.requests else reply.usage
        self.cost = cost_of_both(self.cost, reply.cost)
        self.requests += reply.requests

    def onto(self, reply: Reply[Any], **facts: Any) -> Reply[Any]:
        """Return *reply* with all that it took, and with *facts*."""
        return msgspec.structs.replace(reply, usage=self.usage, cost=self.cost, requests=self.requests, **facts)


class Scene(msgspec.Struct, frozen=True):
    """Where a call happens: in which handler, for whom, and what it costs besides its result.

    `handoffs` says how often the conversation may still be handed on in this answer.
    """

    context: "Context"
    emit: "Emit | None"
    tally: Tally
    handoffs: int = 0


class Callee(Protocol):
    """Something a model may call."""

    @property
    def tool(self) -> Tool:
        """What the model is told of it."""
        ...

    @property
    def effect(self) -> bool:
        """Whether it changes the world; see `action`."""
        ...

    @property
    def shielded(self) -> bool:
        """Whether nothing may cut it off here; what runs elsewhere sees to that itself."""
        ...

    async def admit(self, call: ToolCall, scene: Scene) -> ToolCall:
        """Return *call* as it may run; somebody may have to be asked first.

        Raises:
            ActionArgumentsError: the arguments do not fit.
            ApprovalDeniedError: whoever was asked said no.
        """
        ...

    async def run(self, call: ToolCall, scene: Scene) -> Any:
        """Do what *call* wants and return the result.

        Raises:
            ActionArgumentsError: the arguments do not fit; nothing was done.
        """
        ...


class _Free:
    """Something that may be called without more ado."""

    effect = shielded = False

    async def admit(self, call: ToolCall, scene: Scene) -> ToolCall:
        """See `Callee`."""
        del scene
        return call


class OwnAction:
    """An action that runs inside the turn: the agent's own, or a function it was given.

    *find_owner* returns whose method it is; it is there for as long as a turn runs.
    """

    def __init__(self, action: Action, find_owner: Callable[[], object] = lambda: None) -> None:
        self._action = action
        self._find_owner = find_owner
        self.effect = self.shielded = action.effect
        self.tool = Tool(action.name, action.description, action.schema)

    async def admit(self, call: ToolCall, scene: Scene) -> ToolCall:
        """See `Callee`."""
        arguments = await admitted(self._action, call.arguments, scene.context, call.id)
        return call if arguments is call.arguments else msgspec.structs.replace(call, arguments=dict(arguments))

    async def run(self, call: ToolCall, scene: Scene) -> Any:
        """See `Callee`; a plain function runs in a thread of the mesh's."""
        action, context = self._action, scene.context
        bound = action.bind(call.arguments)
        function = functools.partial(action.function, self._find_owner()) if action.is_method else action.function
        if action.is_async:
            return await function(**_with_context(action, bound, context))
        threads = context.interior.threads
        blocking = threads.context_for(context)
        ready = functools.partial(function, **_with_context(action, bound, blocking))
        result = await threads.run(lambda: call_as(blocking, ready))
        return await result if inspect.iscoroutine(result) else result  # a wrapper around an `async def`


class AgentAction(_Free):
    """An action of another agent; the mesh carries the call, so deadline, budget and trace go with it."""

    def __init__(self, ref: "Ref", action: Action, name: str) -> None:
        self._ref = ref
        self._action = action
        self.effect = action.effect
        self.tool = Tool(name, action.description, action.schema)

    async def run(self, call: ToolCall, scene: Scene) -> Any:
        """See `Callee`."""
        del scene  # the handler that runs here is found by the ref itself
        self._action.bind(call.arguments)  # what does not fit need not travel
        return await self._ref.call(self._action.name, **call.arguments)


class AgentCallee(_Free):
    """Another agent, asked with text; whatever it answers is the result."""

    def __init__(self, ref: "Ref", name: str, description: str) -> None:
        self._ref = ref
        self.tool = Tool(name, description, _QUESTION.schema)

    async def run(self, call: ToolCall, scene: Scene) -> Any:
        """See `Callee`."""
        del scene
        return await self._ref.ask(_QUESTION.bind(call.arguments)["query"])


class LlmCallee(_Free):
    """Another agent with a model; its parts are shown as they come, and its usage counts with that of the asker."""

    def __init__(self, ref: "Ref", name: str, description: str) -> None:
        self._ref = ref
        self.tool = Tool(name, description, _QUESTION.schema)

    async def run(self, call: ToolCall, scene: Scene) -> Any:
        """See `Callee`."""
        prompt = Prompt(_QUESTION.bind(call.arguments)["query"])
        if scene.emit is None:
            reply: Reply[Any] = await self._ref.ask(prompt)
        else:
            reply = await self._stream(prompt, call, scene)
        scene.tally.add(reply)
        return reply.text

    async def _stream(self, prompt: Prompt, call: ToolCall, scene: Scene) -> Reply[Any]:
        """Take the answer part by part, and hand each one on as that agent's."""
        address, patience = self._ref.address, scene.context.interior.settings.model_first_part_timeout
        async with self._ref.stream(prompt, idle_timeout=patience) as parts:
            async for part in parts:
                if isinstance(part, ReplyPart):
                    return part.reply
                if scene.emit is not None:
                    await scene.emit(AgentPart(address, call.id, part))
        raise IncompleteStreamError(address, "")


class HandoffCallee(_Free):
    """Another agent with a model, which is to go on with the conversation when the calls of this answer are done."""

    def __init__(self, ref: "Ref", name: str, description: str) -> None:
        self._ref = ref
        words = f"Hand the conversation over: {description}" if description else "Hand the conversation over."
        self.tool = Tool(name, words, _REASON.schema)

    async def run(self, call: ToolCall, scene: Scene) -> Any:
        """See `Callee`; one that is gone, or one too many, is an error like any other."""
        reason: str = _REASON.bind(call.arguments).get("reason", "")
        address, tally = self._ref.address, scene.tally
        if not is_there(address, scene.context):
            raise UnknownAgentError(address, scene.context.interior.router.cells)
        if scene.handoffs <= 0:
            message = "no more handoffs in this answer; answer yourself"
            raise ArgumentError(message)
        tally.transfer = Transfer(address, reason, call.id)
        return f"{address} goes on with the conversation."


def is_there(address: str, context: "Context") -> bool:
    """Say whether there is an agent at *address*, which takes mail, or will be one at the first message."""
    return context.interior.router.knows(address)


def _with_context(action: Action, bound: dict[str, Any], context: Any) -> dict[str, Any]:
    return {**bound, "context": context} if action.takes_context else bound
