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
    HopLimitError,
    MeshClosedError,
    describe,
)
from ceylon.messages import Message

if TYPE_CHECKING:
    from ceylon.agents.action import Action
    from ceylon.core.context import Context

__all__ = ["ApprovalRequest", "Approved", "Denied", "Question", "admitted"]

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
    question = Question(action, arguments, context, call)
    with context.interior.pauses.pause(context):
        answer = await question.ask()
    question.check(answer)
    return question.approved()


class Question:
    """One request for an approval, from asking to running."""

    def __init__(self, action: "Action", arguments: Mapping[str, Any], context: "Context", call: str) -> None:
        self.given = arguments
        self._action, self._context = action, context
        self._shown = _as_data(action, arguments)  # the bytes that are shown, and run
        self.request = self._request(call)

    async def ask(self) -> Any:
        """Return the approver's answer; where there is none, a denial that says why."""
        approver, seconds = self._action.approve, self._context.interior.settings.approval_timeout
        try:
            return await verbs.ask(self._context.interior, self._context, approver, self.request, seconds)
        except (BudgetError, HopLimitError, MeshClosedError):
            raise
        except AskTimeoutError:
            return Denied(f"it did not answer within {seconds:g} s")
        except CeylonError as error:
            return Denied(f"it could not be asked: {describe(error)}")

    def check(self, answer: object) -> None:
        """Raise `ApprovalDeniedError` unless *answer* is a yes to this very request."""
        if isinstance(answer, Approved) and answer.digest in {"", self.request.digest}:
            return
        if isinstance(answer, Approved):
            reason = "its answer is for another request"
        elif isinstance(answer, Denied):
            reason = answer.reason
        else:
            reason = f"it answered with a {type(answer).__name__}, which is no Approved"
        action = self._action
        reason = f"denied by {action.approve!r}" + (f": {reason}" if reason else "")
        raise ApprovalDeniedError(self._context.address, action.name, action.approve, reason)

    def approved(self) -> Mapping[str, Any]:
        """Return the arguments to run with: what was shown, and nobody else has."""
        approved: dict[str, Any] = msgspec.json.decode(self._shown)
        return approved

    def _request(self, call: str) -> ApprovalRequest:
        import hashlib  # noqa: PLC0415 – brings OpenSSL in, and few actions ask

        address, run, action = self._context.address, self._context.message_id, self._action.name
        facts = msgspec.json.encode([address, action, run, call])
        digest = hashlib.sha256(facts + b"\n" + self._shown).hexdigest()
        return ApprovalRequest(address, action, msgspec.json.decode(self._shown), run, call, digest)


def _as_data(action: "Action", arguments: Mapping[str, Any]) -> bytes:
    """Return *arguments*, checked, as bytes."""
    bound = action.bind(arguments)
    try:
        return msgspec.json.encode(bound, order="sorted")
    except _NO_DATA as error:
        reason = f"they cannot be shown to {action.approve!r} as data: {error}"
        raise ActionArgumentsError(action.name, reason) from error
