"""Every error Ceylon raises, in one tree.

    CeylonError
    ├── InvalidNameError (ValueError)          a name the router cannot hold
    ├── NotAnAddressError (TypeError)          a recipient that is neither an address nor a ref
    ├── DuplicateNameError (ValueError)        two agents of one name in one mesh
    ├── AgentInUseError (ValueError)           an agent that another mesh holds
    ├── DefinitionError (TypeError)            an agent class, handler, action or pipeline that cannot work
    │   └── StageTypeError                     a stage of a pipeline that cannot take what the one before gives
    ├── ArgumentError (ValueError)             an argument out of its range
    ├── DeliveryError                          an envelope that was never accepted
    │   ├── UnknownAgentError (LookupError)    nobody has that address
    │   ├── MailboxFullError                   no room in time
    │   │   └── FamilyFullError                no keyed agent more until one of those at work rests
    │   ├── HopLimitError                      passed on too many times
    │   └── RejectedError                      an interceptor did not let it pass
    ├── InterceptorError (RuntimeError)        an interceptor that does what it must not
    ├── UnknownMessageError (LookupError)      an id that the mesh knows no message by
    ├── UnknownRequestError (LookupError)      an id that no request has, or whose result is gone
    ├── UnhandledMessageError                  no handler takes a message of this type
    ├── UnknownActionError (LookupError)       the agent has no such action
    ├── ActionArgumentsError (ValueError)      arguments that do not fit the action's schema
    ├── ActionFailedError (RuntimeError)       an action that `ceylon.compat` invoked raised
    ├── HandlerError                           a handler raised; `root` is the original exception
    ├── HandlerTimeoutError (TimeoutError)     a handler took longer than its agent allows
    ├── StrayCancellationError                 a handler was cancelled by nobody we know
    ├── AskTimeoutError (TimeoutError)         no reply before the deadline
    ├── RequestCancelledError                  a request that somebody has taken back
    ├── RequestTimeoutError (TimeoutError)     a request that has not ended in the time it was waited for
    ├── StreamTimeoutError (TimeoutError)      no part within the idle time
    ├── DeadlockError                          a wait that could never end
    ├── AgentStartError                        `on_start` failed for good
    ├── AgentStoppedError                      the agent stopped before it answered
    ├── MeshClosedError                        the mesh is not running
    ├── PayloadError (TypeError)               a payload of `ceylon.compat` that is no text
    ├── NotBuiltError (RuntimeError)           an agent of `ceylon.compat` that is used before `build()`
    ├── NotYetError (NotImplementedError)      what a later release brings
    ├── LawBrokenError                         the mesh has lost count of an envelope: a mistake of Ceylon's own
    ├── MeshFailedError                        a critical agent failed for good, and the mesh with it
    ├── BlockingCallError (RuntimeError)       a blocking verb on the mesh's own loop
    ├── CodecError (ValueError)                bytes that are not a message
    ├── MissingPackageError (ImportError)      an extra that is not installed
    ├── DrawingError                           a picture that cannot be drawn here
    ├── InjectedFaultError                     a simulation made a handler fail
    ├── ApprovalDeniedError                    nobody allowed an action that asks first
    ├── InterruptedTurnError                   a turn that another message broke off
    ├── BudgetError                            what a run may spend is spent
    ├── NoBranchError (LookupError)            a branch of a pipeline that has no stage for a key
    ├── LoopLimitError                         a loop of a pipeline that was never done
    ├── AllFailedError                         a race of a pipeline that nobody won
    ├── StageTimeoutError (TimeoutError)       a stage of a pipeline that took too long
    ├── StoreError                             a memory or a store that cannot do as it is asked
    │   ├── SnapshotError                      the state of a keyed agent that could not be saved or loaded
    │   ├── SnapshotsFullError                 no room for the state of one keyed agent more
    │   ├── MemoryFullError                    a namespace holds as much as it may
    │   ├── StoreTimeoutError (TimeoutError)   a search took too long and was stopped
    │   └── StoreUnavailableError              no file, server or library there
    └── ModelError                             whatever a language model does wrong
        ├── ModelConfigError (ValueError)      model string, key or option
        ├── ModelUnavailableError              no server there, or no engine here
        │   └── ModelSuspendedError            not asked for a while: it failed too often
        ├── ModelNotFoundError (LookupError)   the server has no such model
        ├── ModelStatusError                   an HTTP status that says no
        │   ├── ModelAuthError                 401, 403
        │   └── ModelRateLimitError            429
        ├── ModelTimeoutError (TimeoutError)   no answer in time
        ├── ModelProtocolError                 an answer that is not one
        ├── IncompleteStreamError              a stream that broke off
        ├── ModelRefusalError                  the provider declines to answer this
        ├── MaxTurnsError                      a model that never stops calling
        └── OutputError                        no answer of the type that was asked for

An error takes facts, keeps them as attributes and writes its own sentence, with the way out in it.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "ActionArgumentsError",
    "ActionFailedError",
    "AgentInUseError",
    "AgentStartError",
    "AgentStoppedError",
    "AllFailedError",
    "ApprovalDeniedError",
    "ArgumentError",
    "AskTimeoutError",
    "BlockingCallError",
    "BudgetError",
    "CeylonError",
    "CodecError",
    "DeadlockError",
    "DefinitionError",
    "DeliveryError",
    "DrawingError",
    "DuplicateNameError",
    "FamilyFullError",
    "HandlerError",
    "HandlerTimeoutError",
    "HopLimitError",
    "IncompleteStreamError",
    "InjectedFaultError",
    "InterceptorError",
    "InterruptedTurnError",
    "InvalidNameError",
    "LawBrokenError",
    "LoopLimitError",
    "MailboxFullError",
    "MaxTurnsError",
    "MemoryFullError",
    "MeshClosedError",
    "MeshFailedError",
    "MissingPackageError",
    "ModelAuthError",
    "ModelConfigError",
    "ModelError",
    "ModelNotFoundError",
    "ModelProtocolError",
    "ModelRateLimitError",
    "ModelRefusalError",
    "ModelStatusError",
    "ModelSuspendedError",
    "ModelTimeoutError",
    "ModelUnavailableError",
    "NoBranchError",
    "NotAnAddressError",
    "NotBuiltError",
    "NotYetError",
    "OutputError",
    "PayloadError",
    "RejectedError",
    "RequestCancelledError",
    "RequestTimeoutError",
    "SnapshotError",
    "SnapshotsFullError",
    "StageTimeoutError",
    "StageTypeError",
    "StoreError",
    "StoreTimeoutError",
    "StoreUnavailableError",
    "StrayCancellationError",
    "StreamTimeoutError",
    "UnhandledMessageError",
    "UnknownActionError",
    "UnknownAgentError",
    "UnknownMessageError",
    "UnknownRequestError",
]


class CeylonError(Exception):
    """Base of every error of this package; it can be pickled, facts and all, so it survives a process pool."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from what there is, not by calling `__init__`, which takes facts and not a sentence."""
        return _rebuild, (type(self), self.args, self.__dict__, self.__cause__)


def _rebuild(
    kind: type[CeylonError], arguments: tuple[Any, ...], facts: dict[str, Any], cause: BaseException | None
) -> CeylonError:
    """Return an error as it was before it was pickled."""
    made = kind.__new__(kind, *arguments)
    made.args = arguments
    made.__dict__.update(facts)
    made.__cause__ = cause
    return made


# -- what was asked for cannot be --------------------------------------------------------------------------------------


class InvalidNameError(CeylonError, ValueError):
    """A name that no address may have."""

    def __init__(self, name: object, rule: str) -> None:
        super().__init__(f"{name!r} is not a valid name: {rule}")
        self.name, self.rule = name, rule


class NotAnAddressError(CeylonError, TypeError):
    """Something that names no agent was given as a recipient."""

    def __init__(self, recipient: object) -> None:
        what, hint = type(recipient).__name__, ""
        if isinstance(recipient, type):
            what = f"the class {recipient.__name__}"
        elif hasattr(recipient, "__ceylon_behaviour__"):
            hint = "; the agent's handle is `agent.ref`"
        super().__init__(f"a recipient is an address or a ref, not {what}{hint}")
        self.recipient = type(recipient).__name__


class DuplicateNameError(CeylonError, ValueError):
    """The mesh already has an agent of this name."""

    def __init__(self, name: str, mesh: str) -> None:
        super().__init__(
            f"mesh {mesh!r} already has an agent {name!r}; give one of them another name, or stop it first"
        )
        self.name, self.mesh = name, mesh


class AgentInUseError(CeylonError, ValueError):
    """An agent is in one mesh at a time, and this one is in another."""

    def __init__(self, name: str, mesh: str) -> None:
        when = "the pipeline it has run in is gone; or add that" if mesh == "default" else "that mesh is closed"
        super().__init__(f"agent {name!r} is in mesh {mesh!r}; it can be added here once {when}")
        self.name, self.mesh = name, mesh


class DefinitionError(CeylonError, TypeError):
    """An agent class, a handler or an action that could never work as written."""


class StageTypeError(DefinitionError):
    """A stage of a pipeline gives what the next one can never take; the four facts are words, as in the sentence."""

    def __init__(self, giver: str, given: str, taker: str, taken: str) -> None:
        super().__init__(
            f"{giver} gives {given}, but {taker} takes {taken}; put a stage between them that makes one of the other, "
            "or correct the annotation"
        )
        self.giver, self.given, self.taker, self.taken = giver, given, taker, taken


class ArgumentError(CeylonError, ValueError):
    """An argument outside what the function takes."""


# -- delivery ----------------------------------------------------------------------------------------------------------


class DeliveryError(CeylonError):
    """The envelope was refused: it is in no mailbox, and its sender knows."""


class UnknownAgentError(DeliveryError, LookupError):
    """No agent has this address; or no family of agents is of this class, if it *is_class*."""

    def __init__(self, address: str, known: Iterable[str] = (), *, is_class: bool = False) -> None:
        names = sorted(known)
        nobody = f"{address} is not registered: `mesh.register({address})`" if is_class else f"no agent at {address!r}"
        super().__init__(f"{nobody}{_suggest(address, names, 'the mesh has')}")
        self.address, self.known = address, names


class MailboxFullError(DeliveryError):
    """The mailbox had no room, now or within the time a sender waits."""

    def __init__(self, address: str, capacity: int, waited: float = 0.0) -> None:
        after = f" for {waited:g} s" if waited else ""
        super().__init__(
            f"the mailbox of {address!r} was full{after} ({capacity} waiting); slow the sender down, "
            "raise the agent's `concurrency`, or `await tell(...)` instead of `tell_nowait`"
        )
        self.address, self.capacity, self.waited = address, capacity, waited


class FamilyFullError(MailboxFullError):
    """A keyed agent could not come to life, now or within the time a sender waits: all its family may have are busy."""

    def __init__(self, address: str, family: str, limit: int, waited: float = 0.0) -> None:
        after = f" for {waited:g} s" if waited else ""
        DeliveryError.__init__(
            self,
            f"there was no place for {address!r}{after}: all {limit:,} agents of the family {family!r} were busy; "
            "slow the senders down, or raise `limit` where it is registered",
        )
        self.address, self.capacity, self.waited = address, 0, waited
        self.family, self.limit = family, limit


class HopLimitError(DeliveryError):
    """A message was passed from agent to agent more often than the mesh allows."""

    def __init__(self, address: str, max_hops: int) -> None:
        super().__init__(
            f"the message to {address!r} would be hop {max_hops + 1}; do agents answer each other for ever? "
            f"(limit: Mesh(max_hops={max_hops}))"
        )
        self.address, self.max_hops = address, max_hops


class RejectedError(DeliveryError):
    """An interceptor of the mesh did not let an envelope, or its reply, pass; `__cause__` is what it raised, if it did.

    Around delivery the envelope was in no mailbox; around handling it was accepted, and has failed.
    """

    def __init__(self, address: str, message_type: str, reason: str) -> None:
        super().__init__(f"{message_type} to {address!r} was rejected by an interceptor of the mesh: {reason}")
        self.address, self.message_type, self.reason = address, message_type, reason


class InterceptorError(CeylonError, RuntimeError):
    """An interceptor went on twice, or too late, or with something that is not the envelope it was given."""


class UnknownMessageError(CeylonError, LookupError):
    """The mesh knows no message of this id: it was never sent here, or ended too long ago."""

    def __init__(self, message_id: str, kept: int) -> None:
        super().__init__(
            f"no message {message_id!r} is known; open ones always are, of those that ended the last {kept:,}. "
            "Ids are in `context.message_id`, `mesh.ledger()` and `AskTimeoutError.message_id`"
        )
        self.message_id, self.kept = message_id, kept


class UnknownRequestError(CeylonError, LookupError):
    """The mesh knows no request of this id: it was never submitted here, or its result is collected or expired."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"no request {request_id!r} is under way or waits to be collected; ids are in `request.id`, "
            "and a `Request` that you have kept has its result for good: `await request`"
        )
        self.request_id = request_id


class UnhandledMessageError(CeylonError):
    """No handler of the agent takes a message of this type."""

    def __init__(self, address: str, message_type: str, handled: Sequence[str]) -> None:
        takes = ", ".join(handled) or "nothing"
        super().__init__(
            f"agent {address!r} has no handler for {message_type}; it takes: {takes}. "
            "Add a method marked @on for it, or `on_message` for everything else"
        )
        self.address, self.message_type, self.handled = address, message_type, tuple(handled)


class UnknownActionError(CeylonError, LookupError):
    """The agent has no action of this name."""

    def __init__(self, address: str, action: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(f"agent {address!r} has no action {action!r}{_suggest(action, names, 'it has')}")
        self.address, self.action, self.known = address, action, names


class ActionArgumentsError(CeylonError, ValueError):
    """The arguments do not fit the action's schema; `reason` holds the path of the field at fault."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(f"bad arguments for action {action!r}: {reason}")
        self.action, self.reason = action, reason


class ActionFailedError(CeylonError, RuntimeError):
    """An action that a program of `ceylonai-next` invoked by name raised; the original exception is `__cause__`."""

    def __init__(self, action: str, error: BaseException) -> None:
        super().__init__(f"Action execution failed: {describe(error)} (in action {action!r})")
        self.action = action
        self.__cause__ = error


class ApprovalDeniedError(CeylonError):
    """An action that asks first was not allowed, and has not run; `reason` says who said no, or nothing."""

    def __init__(self, agent: str, action: str, approver: str, reason: str) -> None:
        super().__init__(f"action {action!r} of {agent!r} was not run: {reason}")
        self.agent, self.action, self.approver, self.reason = agent, action, approver, reason


class InterruptedTurnError(CeylonError):
    """Another message of the conversation broke this turn off; `text` is what had been said, and the history has it."""

    def __init__(self, conversation: str, text: str = "") -> None:
        super().__init__(f"the turn was interrupted by another message of {conversation!r}; `text` holds its beginning")
        self.conversation, self.text = conversation, text


# -- handling ----------------------------------------------------------------------------------------------------------


class HandlerError(CeylonError):
    """A handler raised while it answered an ask.

    `root` is the original exception (also the end of the `__cause__` chain), `path` the agents the ask passed
    through, nearest first. It is wrapped once, however many agents stand between.
    """

    def __init__(self, path: Sequence[str], message_type: str, root: BaseException) -> None:
        where = " → ".join(path)
        super().__init__(f"agent {where} failed on {message_type}: {describe(root)}")
        self.path, self.message_type, self.root = tuple(path), message_type, root

    @property
    def agent(self) -> str:
        """The agent whose handler raised."""
        return self.path[-1]

    def through(self, address: str) -> "HandlerError":
        """Return the same failure as seen one agent further out."""
        return self._seen_from((address, *self.path))

    def inside(self) -> "BaseException":
        """Return the failure as the outermost agent of the path met it: an agent's that it asked, or its own error."""
        return self._seen_from(self.path[1:]) if len(self.path) > 1 else self.root

    def _seen_from(self, path: Sequence[str]) -> "HandlerError":
        seen = HandlerError(path, self.message_type, self.root)
        seen.__cause__ = self.root
        for note in getattr(self, "__notes__", ()):
            seen.add_note(note)
        return seen


class HandlerTimeoutError(CeylonError, TimeoutError):
    """A handler took longer than the agent's `handler_timeout`.

    `still_runs` says that it went on all the same: in a thread, which nothing can end, or on the loop by ignoring its
    cancellation. The agent then gets a new instance, because that code still holds the old one.
    """

    def __init__(self, address: str, message_type: str, seconds: float, *, still_runs: bool = False) -> None:
        super().__init__(
            f"the handler of {address!r} for {message_type} took longer than {seconds:g} s; "
            "raise the agent's `handler_timeout`, or let it wait for less"
        )
        self.address, self.message_type, self.seconds, self.still_runs = address, message_type, seconds, still_runs


class StrayCancellationError(CeylonError):
    """A handler ended by a cancellation that the mesh never asked for."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the handler of {address!r} was cancelled by its own code (a cancelled future awaited, "
            "CancelledError raised, or its task cancelled); catch it there if it is expected"
        )
        self.address = address


class MissingPackageError(CeylonError, ImportError):
    """Something needs a package that does not come with Ceylon."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f'{what} needs the package {package}; install it, in the clone: pip install -e ".[{extra}]"')
        self.what, self.package, self.extra = what, package, extra


class InjectedFaultError(CeylonError):
    """A simulation made a handler fail, as `Faults(crash=...)` asks for; what it touches must bear it."""

    def __init__(self) -> None:
        super().__init__("the simulation made this handler fail; `Faults(crash=0)` leaves handlers alone")


class AskTimeoutError(CeylonError, TimeoutError):
    """No reply arrived before the deadline; the handler may still be running."""

    def __init__(self, address: str, timeout: float, message_id: str = "") -> None:
        see = f"`mesh.why({message_id!r})`" if message_id else "`mesh.waits()`"
        super().__init__(f"{address!r} did not reply within {timeout:g} s; raise `timeout=`, or see {see}")
        self.address, self.timeout, self.message_id = address, timeout, message_id


class RequestCancelledError(CeylonError):
    """Somebody has cancelled the request, so it has no result."""

    def __init__(self, address: str, request_id: str) -> None:
        super().__init__(f"the request {request_id} to {address!r} was cancelled; submit it anew if you need it")
        self.address, self.request_id = address, request_id


class RequestTimeoutError(CeylonError, TimeoutError):
    """A request did not end in the time somebody waited for it; it goes on, and can be waited for again."""

    def __init__(self, address: str, timeout: float, request_id: str) -> None:
        super().__init__(
            f"the request {request_id} to {address!r} has not ended within {timeout:g} s, and goes on; wait for it "
            f"again, `cancel()` it, or see `mesh.why({request_id!r})`"
        )
        self.address, self.timeout, self.request_id = address, timeout, request_id


class StreamTimeoutError(CeylonError, TimeoutError):
    """A stream's next part did not come within its idle time."""

    def __init__(self, address: str, timeout: float) -> None:
        super().__init__(f"the stream from {address!r} sent nothing for {timeout:g} s; raise `idle_timeout=`")
        self.address, self.timeout = address, timeout


class DeadlockError(CeylonError):
    """A wait was refused because it could never have ended."""

    def __init__(self, path: Sequence[str], reason: str = "") -> None:
        super().__init__(
            reason
            or f"this would wait for itself: {' → '.join(path)}; `tell` instead, reply first, or let the agent's own "
            "questions come back to it (`reentrant = True`)"
        )
        self.path = tuple(path)


class AgentStartError(CeylonError):
    """The agent's `on_start` failed for good, so it never handled a message."""

    def __init__(self, address: str, cause: BaseException) -> None:
        super().__init__(f"agent {address!r} could not start: {describe(cause)}")
        self.address, self.cause = address, cause


class AgentStoppedError(CeylonError):
    """The agent was stopped before it did what was asked of it."""

    def __init__(self, address: str, why: str = "was stopped before it answered") -> None:
        super().__init__(f"agent {address!r} {why}")
        self.address = address


class MeshClosedError(CeylonError):
    """The mesh is not running: not yet, not any more, or in another process."""

    def __init__(self, mesh: str, why: str = "it is closed") -> None:
        super().__init__(f"mesh {mesh!r} takes no messages: {why}")
        self.mesh, self.why = mesh, why


class PayloadError(CeylonError, TypeError):
    """Something else than text was sent by a mesh of `ceylon.compat`."""

    def __init__(self, payload: object) -> None:
        super().__init__(
            f"a payload is text, not {type(payload).__name__}; `json.dumps` or `.decode()` it, "
            f"or send it by a `ceylon.Mesh`, which takes any message"
        )
        self.payload = type(payload).__name__


class NotBuiltError(CeylonError, RuntimeError):
    """An agent of `ceylon.compat` was used before it was built, or before it was given what the verb needs."""

    def __init__(self, agent: str, step: str = "build") -> None:
        super().__init__(f"agent {agent!r} is not built for this. Call {step}() first.")
        self.agent, self.step = agent, step


class NotYetError(CeylonError, NotImplementedError):
    """Something that is named here already, and comes with a later release."""

    def __init__(self, what: str, when: str, meanwhile: str) -> None:
        super().__init__(f"{what} comes with {when}; until then, {meanwhile}")
        self.what, self.when, self.meanwhile = what, when, meanwhile


class LawBrokenError(CeylonError):
    """A mesh was left with an envelope lost or ended twice; nothing a program does may cause this."""

    def __init__(self, mesh: str, *, agents: Sequence[str], lost: Sequence[str], twice: Sequence[str]) -> None:
        facts = [("wrong counters", agents), ("never ended", lost), ("ended twice", twice)]
        found = "; ".join(f"{what}: {', '.join(names)}" for what, names in facts if names)
        super().__init__(f"mesh {mesh!r} broke its own law, please report it: {found}")
        self.mesh, self.agents, self.lost, self.twice = mesh, tuple(agents), tuple(lost), tuple(twice)


class MeshFailedError(CeylonError):
    """A critical agent failed for good, so the mesh stopped; raised where the mesh is left, with the cause."""

    def __init__(self, mesh: str, agent: str, cause: BaseException) -> None:
        super().__init__(f"mesh {mesh!r} has stopped because its critical agent {agent!r} failed: {describe(cause)}")
        self.mesh, self.agent, self.cause = mesh, agent, cause


class BlockingCallError(CeylonError, RuntimeError):
    """A blocking verb was called where blocking would stop the whole mesh."""

    def __init__(self, verb: str, instead: str) -> None:
        super().__init__(f"{verb} would block the mesh's own event loop; write {instead} instead")
        self.verb, self.instead = verb, instead


class CodecError(CeylonError, ValueError):
    """Bytes that are no message of ours, or a message that has no bytes."""


class DrawingError(CeylonError):
    """A picture that cannot be drawn here: the renderer is not installed, or refuses what it is given."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason, self.fix = reason, fix


_UNAFFORDABLE = (
    "the budget of {limit:g} {what} has {left:g} left, and the next request may need {wanted:g}; "
    "give the run a larger `Budget`, or its agent a smaller `max_tokens`"
)
_OVERSPENT = {
    "seconds": "the run has taken the {limit:g} s of its budget; give it a larger `Budget(seconds=...)`",
    "depth": "this would be ask {wanted:g} inside of asks, and the budget allows {limit:g}; give the run a larger "
    "`Budget(depth=...)`",
}


class BudgetError(CeylonError):
    """A request was not made, because it might cost more than its run may still spend."""

    def __init__(self, what: str, wanted: float, left: float, limit: float) -> None:
        super().__init__(_OVERSPENT.get(what, _UNAFFORDABLE).format(what=what, wanted=wanted, left=left, limit=limit))
        self.what, self.wanted, self.left, self.limit = what, wanted, left, limit


# -- memories and conversation stores ----------------------------------------------------------------------------------


class StoreError(CeylonError):
    """A memory, a conversation store or a store of snapshots cannot do what it was asked."""


class SnapshotError(StoreError):
    """The state of a keyed agent could not be saved or loaded; saving, the agent keeps it, and stays."""

    def __init__(self, address: str, verb: str, why: str) -> None:
        super().__init__(f"the state of {address!r} could not be {verb}: {why}")
        self.address, self.verb, self.why = address, verb, why


class SnapshotsFullError(StoreError):
    """As many states are kept as may be, so that of one keyed agent more was not."""

    def __init__(self, address: str, limit: int) -> None:
        super().__init__(
            f"the state of {address!r} would be one more than the {limit:,} that are kept in memory; let `save` return "
            "None where nothing is worth keeping, raise `snapshots` in the settings, or register with a store"
        )
        self.address, self.limit = address, limit


class MemoryFullError(StoreError):
    """A namespace holds as many entries as it may, so nothing of this was remembered."""

    def __init__(self, namespace: str, limit: int) -> None:
        super().__init__(
            f"the memory of {namespace!r} would hold more than {limit:,} entries; forget some, give them a `ttl=`, "
            "or raise `memory_entries` in its settings"
        )
        self.namespace, self.limit = namespace, limit


class StoreTimeoutError(StoreError, TimeoutError):
    """A search took longer than one may, and was stopped."""

    def __init__(self, store: str, timeout: float) -> None:
        super().__init__(f"{store} searched for {timeout:g} s and was stopped; ask for less, in fewer words")
        self.store, self.timeout = store, timeout


class StoreUnavailableError(StoreError):
    """There is nothing to keep things in; the sentence says what to do."""

    def __init__(self, store: str, reason: str, advice: str) -> None:
        super().__init__(f"{store} cannot be used: {reason}. {advice}")
        self.store, self.reason, self.advice = store, reason, advice


# -- language models ---------------------------------------------------------------------------------------------------


class ModelError(CeylonError):
    """A language model did not answer as it should.

    `acted`: actions had been called before, in the turn that this error ended; so asking again may do things twice.
    """

    acted: bool = False


class ModelConfigError(ModelError, ValueError):
    """A model string, key, address or option that cannot work."""


class ModelUnavailableError(ModelError):
    """Nothing answers there; the sentence names the address and the ways out."""

    def __init__(self, model: str, address: str, advice: str) -> None:
        super().__init__(f"{model}: cannot reach {address}. {advice}")
        self.model, self.address, self.advice = model, address, advice


class ModelSuspendedError(ModelUnavailableError):
    """The model has failed so often in a row that nobody asks it for a while; `seconds` says how long still."""

    def __init__(self, model: str, failures: int, seconds: float, last: str) -> None:
        advice = f"It failed {failures} times in a row and is asked again in {seconds:.0f} s; the last time: {last}"
        super().__init__(model, "it", advice)
        self.failures, self.seconds, self.last = failures, seconds, last


class ModelNotFoundError(ModelError, LookupError):
    """The server is there and does not have this model."""

    def __init__(self, model: str, available: Sequence[str], advice: str) -> None:
        has = ", ".join(available) or "none"
        super().__init__(f"no model {model!r} there; it has: {has}. {advice}")
        self.model, self.available, self.advice = model, tuple(available), advice


class ModelStatusError(ModelError):
    """The server answered with a status that says no; `body` holds its words, redacted, at most 2 KiB.

    `retry_after` are the seconds it asks to wait, `should_retry` is what it says about another try, `code` its own name
    for the error; each only if it says so.
    """

    def __init__(
        self,
        model: str,
        status: int,
        body: str,
        *,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        code: str = "",
    ) -> None:
        super().__init__(f"{model}: HTTP {status}: {body}")
        self.model, self.status, self.body, self.retry_after = model, status, body, retry_after
        self.should_retry, self.code = should_retry, code


class ModelAuthError(ModelStatusError):
    """401 or 403: the key is missing, wrong, or not allowed this model."""


class ModelRateLimitError(ModelStatusError):
    """429: too many requests; `retry_after` holds the seconds the server asked for, if it did."""


class ModelTimeoutError(ModelError, TimeoutError):
    """The model did not finish its turn in time."""

    def __init__(self, model: str, timeout: float) -> None:
        super().__init__(f"{model} did not finish within {timeout:g} s; raise `timeout=`")
        self.model, self.timeout = model, timeout


class ModelProtocolError(ModelError):
    """The server answered with something that is not the format it claims to speak."""


class IncompleteStreamError(ModelError):
    """A stream ended without the provider's terminal event; `text` is what had arrived."""

    def __init__(self, model: str, text: str) -> None:
        super().__init__(f"{model}: the stream broke off after {len(text)} characters, before its end was announced")
        self.model, self.text = model, text


class ModelRefusalError(ModelError):
    """The provider declines to answer this question, so that there is no answer at all; `reason` is its own word."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"{model} declines to answer: {reason}; ask something else, or another model")
        self.model, self.reason = model, reason


class MaxTurnsError(ModelError):
    """A model still wanted calls after as many requests as its agent allows; `text` is the last it said."""

    def __init__(self, model: str, turns: int, text: str = "") -> None:
        super().__init__(f"{model} was asked {turns} times and still wants calls; raise `max_turns=` if that is right")
        self.model, self.turns, self.text = model, turns, text


class OutputError(ModelError, ValueError):
    """A model gave no answer of the type that was asked for; `text` is its last one, `reason` what is wrong with it."""

    def __init__(self, model: str, output: str, reason: str, text: str = "", *, tries: int = 1) -> None:
        times = "once" if tries == 1 else f"{tries} times"
        super().__init__(f"{model} was asked {times} for a {output} and gave none: {reason}")
        self.model, self.output, self.reason, self.text, self.tries = model, output, reason, text, tries


# -- pipelines ---------------------------------------------------------------------------------------------------------


class NoBranchError(CeylonError, LookupError):
    """A branch was given a key that no stage is there for."""

    def __init__(self, key: object, known: Sequence[object]) -> None:
        there = ", ".join(map(repr, known)) or "none"
        super().__init__(f"no branch for {key!r}; there are: {there}. Add one, or a `default=`")
        self.key, self.known = key, tuple(known)


class LoopLimitError(CeylonError):
    """A loop was not done after as many rounds as it may take; `value` is the last."""

    def __init__(self, rounds: int, value: object) -> None:
        super().__init__(
            f"the loop was not done after {rounds} rounds; raise `at_most=`, or keep the last value with "
            '`at_limit="keep"`'
        )
        self.rounds, self.value = rounds, value


class AllFailedError(CeylonError):
    """Everybody in a race failed; `errors` has what each of them raised, in their order, and the last is the cause."""

    def __init__(self, errors: Sequence[BaseException]) -> None:
        super().__init__(f"all {len(errors)} failed: {'; '.join(map(describe, errors))}")
        self.errors = tuple(errors)


class StageTimeoutError(CeylonError, TimeoutError):
    """A stage was not done in time, and was cancelled."""

    def __init__(self, stage: str, seconds: float) -> None:
        super().__init__(f"stage {stage!r} took longer than {seconds:g} s; give it more, or a `fallback`")
        self.stage, self.seconds = stage, seconds


# -- sentences ---------------------------------------------------------------------------------------------------------


def describe(error: BaseException) -> str:
    """Return ``Type: words`` for *error*, even when its own ``__str__`` raises."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 – a user's __str__ may do anything, and must not hide the failure itself
        words = "<no text: its __str__ raised>"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _suggest(word: str, names: Sequence[str], has: str) -> str:
    """Return the end of a sentence that names close matches, or what there is."""
    if not names:
        return f"; {has} none"
    close = difflib.get_close_matches(word, names, n=3)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    listed = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")  # noqa: PLR2004 – a sentence, not a setting
    return f"; {has}: {listed}"
