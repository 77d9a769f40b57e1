"""Ask whether an action may run, with the exact arguments: who asks, what is asked, and what an answer is good for.

`@action(approve="operator")` names the agent that is asked; it is an agent like any other. What it is shown is decoded
from the same bytes as what runs then, so nothing that happens to either in between changes the other. An answer is the
reply to one request, and good for nothing else.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.core import verbs
from ceylon.errors import (
    ActionArgumentsError,
    ApprovalDeniedError,
    AskTimeoutError,
    BudgetError,
    CeylonError,
    MeshClosedError,
    describe,
)
from ceylon.messages import Message

if TYPE_CHECKING:
    from ceylon.agents.action import Action
    from ceylon.core.context import Context

__all__ = ["ApprovalRequest", "Approved", "Denied", "admitted"]

_NO_DATA = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


class Approved(Message, tag="$approved"):
    """Yes: this action, with these arguments, once. `digest` may name the request; then it has to be the right one."""

    digest: str = ""


class Denied(Message, tag="$denied"):
    """No; the reason is told to whoever wanted it, which may be a model."""

    reason: str = ""


class ApprovalRequest(Message["Approved | Denied"], tag="$approval"):
    """May *agent* run *action* with exactly these *arguments*?

    `run` is the id of the message in whose course it is wanted, `call` the model's id of the call, empty where no model
    wants it. `digest` stands for all of it: no other request has the same.
    """

    agent: str
    action: str
    arguments: dict[str, Any]
    run: str = ""
    call: str = ""
    digest: str = ""


async def admitted(
    action: "Action", arguments: Mapping[str, Any], context: "Context", call: str = ""
) -> Mapping[str, Any]:
    """Return the arguments to run *action* with: those given, or, if it asks first, a copy of those that were approved.

    While the question is open, no clock of those who wait for the handler runs.

    Raises:
        ActionArgumentsError: they do not fit, or cannot be shown as data.
        ApprovalDeniedError: the approver said no, is not there, or has not answered in time.
    """
    if not action.approve:
        return arguments
    shown = _as_data(action, arguments)
    request = _request(action, shown, context, call)
    with context.interior.pauses.pause(context):
        answer = await _ask(action, request, context)
    if not isinstance(answer, Approved):
        raise _denied(action, context, _reason(action.approve, answer))
    if answer.digest not in {"", request.digest}:
        raise _denied(action, context, f"the answer of {action.approve!r} is for another request")
    approved: dict[str, Any] = msgspec.json.decode(shown)
    return approved


def _as_data(action: "Action", arguments: Mapping[str, Any]) -> bytes:
    """Return *arguments* as the bytes that are shown, and run."""
    bound = action.bind(arguments)
    try:
        return msgspec.json.encode(bound, order="sorted")
    except _NO_DATA as error:
        reason = f"they cannot be shown to {action.approve!r} as data: {error}"
        raise ActionArgumentsError(action.name, reason) from error


def _request(action: "Action", shown: bytes, context: "Context", call: str) -> ApprovalRequest:
    import hashlib  # noqa: PLC0415 – brings OpenSSL in, and few actions ask

    address, run = context.address, context.message_id
    facts = msgspec.json.encode([address, action.name, run, call])
    digest = hashlib.sha256(facts + b"\n" + shown).hexdigest()
    return ApprovalRequest(address, action.name, msgspec.json.decode(shown), run, call, digest)


async def _ask(action: "Action", request: ApprovalRequest, context: "Context") -> Any:
    """Return the approver's answer; without one, the reason, as a denial."""
    seconds = context.interior.settings.approval_timeout
    try:
        return await verbs.ask(context.interior, context, action.approve, request, seconds)
    except (BudgetError, MeshClosedError):
        raise
    except AskTimeoutError:
        return Denied(f"{action.approve!r} did not answer within {seconds:g} s")
    except CeylonError as error:
        return Denied(f"{action.approve!r} could not be asked: {describe(error)}")


def _reason(approver: str, answer: object) -> str:
    if not isinstance(answer, Denied):
        return f"{approver!r} answered with a {type(answer).__name__}, which is no Approved"
    return f"denied by {approver!r}" + (f": {answer.reason}" if answer.reason else "")


def _denied(action: "Action", context: "Context", reason: str) -> ApprovalDeniedError:
    return ApprovalDeniedError(context.address, action.name, action.approve, reason)
