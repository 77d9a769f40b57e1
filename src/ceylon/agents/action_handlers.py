"""How an agent handles an `ActionCall`: by the action of that name, after a question if it asks first."""

import functools
from typing import TYPE_CHECKING, Any

from ceylon.agents.action import Action
from ceylon.agents.approvals import admitted
from ceylon.core.handlers import Handler, Refusal
from ceylon.core.invocation import call_as
from ceylon.errors import ActionArgumentsError, ApprovalDeniedError
from ceylon.messages import ActionCall

if TYPE_CHECKING:
    from ceylon.agents.agent import Agent
    from ceylon.core.context import BlockingContext, Context

__all__ = ["action_handler"]


def action_handler(action: Action, *, inline: bool) -> Handler:
    """Return the handler that runs *action* for an `ActionCall`; effects run to their end whoever leaves."""
    if action.approve:
        return _asking_handler(action, inline=inline)
    function = action.function

    def arguments(call: ActionCall, context: "Context | BlockingContext") -> dict[str, Any]:
        try:
            bound = action.bind(call.arguments)
        except ActionArgumentsError as error:
            raise Refusal(error) from None
        return {**bound, "context": context} if action.takes_context else bound

    async def run_async(agent: "Agent", call: ActionCall, context: "Context") -> Any:
        return await function(agent, **arguments(call, context))

    def run(agent: "Agent", call: ActionCall, context: "Context | BlockingContext") -> Any:
        return function(agent, **arguments(call, context))

    return Handler(
        function=run_async if action.is_async else run,
        name=action.name,
        is_async=action.is_async,
        threaded=not action.is_async and not inline,
        yields=False,
        takes_context=True,
        shielded=action.effect,
        direct=action.is_async,
    )


def _asking_handler(action: Action, *, inline: bool) -> Handler:
    """Return the same for an action that asks first: on the loop, so that no thread is held meanwhile."""
    function = action.function

    async def run(agent: "Agent", call: ActionCall, context: "Context") -> Any:
        try:
            given = action.bind(await admitted(action, call.arguments, context))
        except (ActionArgumentsError, ApprovalDeniedError) as error:
            raise Refusal(error) from None
        if action.is_async:
            return await function(agent, **({**given, "context": context} if action.takes_context else given))
        threads = context.interior.threads
        blocking = threads.context_for(context)
        ready = functools.partial(
            function, agent, **({**given, "context": blocking} if action.takes_context else given)
        )
        if inline:
            return call_as(blocking, ready)
        try:
            return await threads.run(lambda: call_as(blocking, ready))
        finally:
            context.has_replied = context.has_replied or blocking.has_replied

    return Handler(
        function=run,
        name=action.name,
        is_async=True,
        threaded=False,
        yields=False,
        takes_context=True,
        shielded=action.effect,
        direct=True,
    )
