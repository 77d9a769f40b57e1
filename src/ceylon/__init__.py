"""Ceylon: agents that are actors on one event loop, reachable by every caller.

`Agent` is the base to subclass, `Mesh` and `BlockingMesh` are where agents live, `LlmAgent` is the agent that speaks
with a language model. Importing this loads none of them: each name loads its part when it is first asked for, an event
loop is loaded when a mesh starts, an HTTP client when a model first needs one.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ceylon.agents.action import Action, action
    from ceylon.agents.agent import Agent
    from ceylon.agents.approvals import ApprovalRequest as ApprovalRequest
    from ceylon.agents.approvals import Approved as Approved
    from ceylon.agents.approvals import Denied as Denied
    from ceylon.agents.approvers import ApprovalDesk as ApprovalDesk
    from ceylon.agents.approvers import TerminalApprover as TerminalApprover
    from ceylon.agents.batch import Answer
    from ceylon.agents.conversation import Conversation
    from ceylon.agents.llm_agent import LlmAgent
    from ceylon.agents.prompts import Prompt as Prompt
    from ceylon.core.blocking import BlockingMesh
    from ceylon.core.budgets import Budget
    from ceylon.core.context import BlockingContext, Context
    from ceylon.core.default import default_mesh

    # What is imported as itself is rarer, and not in `__all__`.
    from ceylon.core.delivering import NextDelivery as NextDelivery
    from ceylon.core.families import BlockingFamily as BlockingFamily
    from ceylon.core.families import BlockingPool as BlockingPool
    from ceylon.core.families import Family as Family
    from ceylon.core.families import Pool as Pool
    from ceylon.core.findings import Ledger as Ledger
    from ceylon.core.findings import Wait as Wait
    from ceylon.core.findings import Why as Why
    from ceylon.core.handling import NextHandling as NextHandling
    from ceylon.core.interceptors import Interceptor as Interceptor
    from ceylon.core.ledger import DeadLetter
    from ceylon.core.marking import on
    from ceylon.core.mesh import Mesh
    from ceylon.core.ref import BlockingRef, Ref
    from ceylon.core.request import Request as Request
    from ceylon.core.snapshots import InMemorySnapshots as InMemorySnapshots
    from ceylon.core.snapshots import Snapshots as Snapshots
    from ceylon.core.streams import BlockingStream, Stream
    from ceylon.core.subscription import Subscription as Subscription
    from ceylon.core.tickets import RequestResult as RequestResult
    from ceylon.core.ticks import cron as cron
    from ceylon.core.ticks import every as every
    from ceylon.core.watching import Terminated
    from ceylon.errors import (
        ActionArgumentsError,
        AgentStartError,
        AskTimeoutError,
        BlockingCallError,
        CeylonError,
        DeadlockError,
        HandlerError,
        IncompleteStreamError,
        MailboxFullError,
        MeshClosedError,
        MeshFailedError,
        ModelError,
        ModelRateLimitError,
        ModelStatusError,
        ModelTimeoutError,
        ModelUnavailableError,
        UnhandledMessageError,
        UnknownActionError,
        UnknownAgentError,
    )
    from ceylon.errors import ActionFailedError as ActionFailedError
    from ceylon.errors import AgentInUseError as AgentInUseError
    from ceylon.errors import AgentStoppedError as AgentStoppedError
    from ceylon.errors import AllFailedError as AllFailedError
    from ceylon.errors import ApprovalDeniedError as ApprovalDeniedError
    from ceylon.errors import ArgumentError as ArgumentError
    from ceylon.errors import BudgetError as BudgetError
    from ceylon.errors import CodecError as CodecError
    from ceylon.errors import DefinitionError as DefinitionError
    from ceylon.errors import DeliveryError as DeliveryError
    from ceylon.errors import DrawingError as DrawingError
    from ceylon.errors import DuplicateNameError as DuplicateNameError
    from ceylon.errors import FamilyFullError as FamilyFullError
    from ceylon.errors import HandlerTimeoutError as HandlerTimeoutError
    from ceylon.errors import HopLimitError as HopLimitError
    from ceylon.errors import InjectedFaultError as InjectedFaultError
    from ceylon.errors import InterceptorError as InterceptorError
    from ceylon.errors import InterruptedTurnError as InterruptedTurnError
    from ceylon.errors import InvalidNameError as InvalidNameError
    from ceylon.errors import LawBrokenError as LawBrokenError
    from ceylon.errors import LoopLimitError as LoopLimitError
    from ceylon.errors import MaxTurnsError as MaxTurnsError
    from ceylon.errors import MemoryFullError as MemoryFullError
    from ceylon.errors import MissingPackageError as MissingPackageError
    from ceylon.errors import ModelAuthError as ModelAuthError
    from ceylon.errors import ModelConfigError as ModelConfigError
    from ceylon.errors import ModelNotFoundError as ModelNotFoundError
    from ceylon.errors import ModelProtocolError as ModelProtocolError
    from ceylon.errors import ModelRefusalError as ModelRefusalError
    from ceylon.errors import ModelSuspendedError as ModelSuspendedError
    from ceylon.errors import NoBranchError as NoBranchError
    from ceylon.errors import NotAnAddressError as NotAnAddressError
    from ceylon.errors import NotBuiltError as NotBuiltError
    from ceylon.errors import NotYetError as NotYetError
    from ceylon.errors import OutputError as OutputError
    from ceylon.errors import PayloadError as PayloadError
    from ceylon.errors import RejectedError as RejectedError
    from ceylon.errors import RequestCancelledError as RequestCancelledError
    from ceylon.errors import RequestTimeoutError as RequestTimeoutError
    from ceylon.errors import SnapshotError as SnapshotError
    from ceylon.errors import SnapshotsFullError as SnapshotsFullError
    from ceylon.errors import StageTimeoutError as StageTimeoutError
    from ceylon.errors import StageTypeError as StageTypeError
    from ceylon.errors import StoreError as StoreError
    from ceylon.errors import StoreTimeoutError as StoreTimeoutError
    from ceylon.errors import StoreUnavailableError as StoreUnavailableError
    from ceylon.errors import StrayCancellationError as StrayCancellationError
    from ceylon.errors import StreamTimeoutError as StreamTimeoutError
    from ceylon.errors import UnknownMessageError as UnknownMessageError
    from ceylon.errors import UnknownRequestError as UnknownRequestError
    from ceylon.messages import Message
    from ceylon.models.react import ReAct as ReAct
    from ceylon.models.trace import Trace as Trace
    from ceylon.models.trace import TraceStep as TraceStep
    from ceylon.models.trace import trace_of as trace_of
    from ceylon.models.turns import AgentPart as AgentPart
    from ceylon.models.turns import Attachment as Attachment
    from ceylon.models.turns import HandoffPart as HandoffPart
    from ceylon.models.turns import Part as Part
    from ceylon.models.turns import Reply, TextPart, Usage
    from ceylon.models.turns import ReplyPart as ReplyPart
    from ceylon.models.turns import ThinkingPart as ThinkingPart
    from ceylon.models.turns import ToolCall as ToolCall
    from ceylon.models.turns import ToolCallPart as ToolCallPart
    from ceylon.models.turns import ToolResult as ToolResult
    from ceylon.models.turns import ToolResultPart as ToolResultPart
    from ceylon.models.turns import Turn as Turn
    from ceylon.models.turns import UsagePart as UsagePart
    from ceylon.pipelines.building import pipeline as pipeline
    from ceylon.pipelines.events import Failed as Failed
    from ceylon.pipelines.events import StageEvent as StageEvent
    from ceylon.pipelines.value import Pipeline as Pipeline

__version__ = "0.1.0"

__all__ = [
    "Action",
    "ActionArgumentsError",
    "Agent",
    "AgentStartError",
    "Answer",
    "AskTimeoutError",
    "BlockingCallError",
    "BlockingContext",
    "BlockingMesh",
    "BlockingRef",
    "BlockingStream",
    "Budget",
    "CeylonError",
    "Context",
    "Conversation",
    "DeadLetter",
    "DeadlockError",
    "HandlerError",
    "IncompleteStreamError",
    "LlmAgent",
    "MailboxFullError",
    "Mesh",
    "MeshClosedError",
    "MeshFailedError",
    "Message",
    "ModelError",
    "ModelRateLimitError",
    "ModelStatusError",
    "ModelTimeoutError",
    "ModelUnavailableError",
    "Ref",
    "Reply",
    "Stream",
    "Terminated",
    "TextPart",
    "UnhandledMessageError",
    "UnknownActionError",
    "UnknownAgentError",
    "Usage",
    "action",
    "default_mesh",
    "on",
]

_HOMES: Final = {
    "ceylon.agents.action": ("Action", "action"),
    "ceylon.agents.agent": ("Agent",),
    "ceylon.agents.approvals": ("ApprovalRequest", "Approved", "Denied"),
    "ceylon.agents.approvers": ("ApprovalDesk", "TerminalApprover"),
    "ceylon.agents.batch": ("Answer",),
    "ceylon.agents.conversation": ("Conversation",),
    "ceylon.agents.llm_agent": ("LlmAgent",),
    "ceylon.agents.prompts": ("Prompt",),
    "ceylon.core.blocking": ("BlockingMesh",),
    "ceylon.core.budgets": ("Budget",),
    "ceylon.core.context": ("BlockingContext", "Context"),
    "ceylon.core.default": ("default_mesh",),
    "ceylon.core.delivering": ("NextDelivery",),
    "ceylon.core.families": ("BlockingFamily", "BlockingPool", "Family", "Pool"),
    "ceylon.core.findings": ("Ledger", "Wait", "Why"),
    "ceylon.core.handling": ("NextHandling",),
    "ceylon.core.interceptors": ("Interceptor",),
    "ceylon.core.ledger": ("DeadLetter",),
    "ceylon.core.marking": ("on",),
    "ceylon.core.mesh": ("Mesh",),
    "ceylon.core.ref": ("BlockingRef", "Ref"),
    "ceylon.core.request": ("Request",),
    "ceylon.core.streams": ("BlockingStream", "Stream"),
    "ceylon.core.subscription": ("Subscription",),
    "ceylon.core.tickets": ("RequestResult",),
    "ceylon.core.ticks": ("cron", "every"),
    "ceylon.core.snapshots": ("InMemorySnapshots", "Snapshots"),
    "ceylon.core.watching": ("Terminated",),
    "ceylon.messages": ("Message",),
    "ceylon.models.react": ("ReAct",),
    "ceylon.models.trace": ("Trace", "TraceStep", "trace_of"),
    "ceylon.models.turns": (
        *("Reply", "Usage", "Turn", "ToolCall", "ToolResult", "Attachment"),
        *("Part", "TextPart", "ThinkingPart", "ToolCallPart", "ToolResultPart", "UsagePart", "HandoffPart"),
        *("AgentPart", "ReplyPart"),
    ),
    "ceylon.pipelines.building": ("pipeline",),
    "ceylon.pipelines.events": ("Failed", "StageEvent"),
    "ceylon.pipelines.value": ("Pipeline",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}
_PARTS: Final = ("agents", "compat", "core", "errors", "memory", "messages", "models", "pipelines", "settings")


def _load(name: str) -> Any:
    """Return what *name* stands for; `AttributeError` if for nothing."""
    if name in _PARTS:
        return importlib.import_module(f"ceylon.{name}")
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    errors = importlib.import_module("ceylon.errors")
    if name in errors.__all__:
        return getattr(errors, name)
    message = f"module 'ceylon' has no attribute {name!r}"
    raise AttributeError(message, name=name, obj=sys.modules["ceylon"])


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        value = globals()[name] = _load(name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *_PARTS, *_load("errors").__all__})
