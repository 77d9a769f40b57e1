"""What goes to a language model and what comes back, in no provider's dialect."""

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T_co = TypeVar("T_co", covariant=True, default=None)
else:  # the default is the type checkers' business; at run time 3.11 and 3.12 know no such argument
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)

__all__ = [
    "AgentPart",
    "Attachment",
    "Finish",
    "HandoffPart",
    "Native",
    "OutputSchema",
    "Part",
    "Reply",
    "ReplyPart",
    "Request",
    "Role",
    "TextPart",
    "ThinkingPart",
    "Tool",
    "ToolCall",
    "ToolCallPart",
    "ToolResult",
    "ToolResultPart",
    "Turn",
    "Usage",
    "UsagePart",
    "cost_of_both",
]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

Finish: TypeAlias = Literal["stop", "length", "tool", "filter", "error", "cancelled"]
"""Why a model stopped, in one vocabulary for all providers."""


class ToolCall(msgspec.Struct, frozen=True):
    """What a model wants called; `id` pairs it with its result.

    `invalid` holds the model's own text where that is no JSON object; then `arguments` is empty and nothing is called.
    """

    id: str
    name: str
    arguments: dict[str, Any] = {}
    invalid: str = ""


class ToolResult(msgspec.Struct, frozen=True):
    """What a call came to, as text for the model: JSON, or the words of an error."""

    id: str
    name: str
    text: str
    is_error: bool = False


class Attachment(msgspec.Struct, frozen=True):
    """A picture or file that goes with a turn; `content` is its bytes, `media_type` such as ``image/png``."""

    media_type: str
    content: bytes
    name: str = ""


class Native(msgspec.Struct, frozen=True):
    """What a provider wants back unchanged when its turn is sent again (signed thoughts), as plain JSON data.

    Only an adapter of the same *provider* reads it; to the others the turn's other fields say the same.
    """

    provider: str
    content: Any


class Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a conversation.

    An assistant's turn may hold calls; the turn behind it, of the role ``tool``, holds one result for each of them.
    """

    role: Role
    text: str = ""
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    native: Native | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request, as the provider counted them; `input` includes the cached ones."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum of both, field by field."""
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached_input=self.cached_input + other.cached_input,
            cache_write=self.cache_write + other.cache_write,
            reasoning=self.reasoning + other.reasoning,
        )


class Tool(msgspec.Struct, frozen=True):
    """An action as a model sees it; `parameters` is the JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


class OutputSchema(msgspec.Struct, frozen=True):
    """The shape an answer's text has to have: a JSON schema with an object at its root."""

    name: str
    schema: dict[str, Any]
    description: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation to be continued, and how; `None` leaves the choice to the server.

    `tool_choice` is ``"auto"``, ``"none"``, ``"required"``, or the name of the one tool to be called. With `output` the
    reply's text is JSON of that schema, unless the model calls tools. `options` holds further settings by the
    provider's own names; an adapter refuses the ones it does not know. `timeout` bounds the whole turn, in seconds.
    """

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    output: OutputSchema | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    timeout: float | None = None


class Reply(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """A model's whole answer: to one request, or of an agent that has called what the model wanted called.

    Attributes:
        text: The answer; JSON where an output type was asked for.
        output: That, as a value of the type; `None` where none was asked for.
        thinking: What a reasoning model shows of its thoughts.
        calls: What the model wants called; empty in an agent's answer.
        usage: Tokens, of all requests it took.
        cost: US dollars, of all requests it took; `None` where a price is unknown.
        finish: Why the model stopped.
        model: The name the server itself reports.
        tokens_per_second: The engine's own figure, where it has one.
        turns: What the answer adds to the conversation, the question not included: calls, results, the answer itself.
        requests: How many requests it took.
        native: See `Native`.
        agent: The address of the agent that the conversation was handed to; empty for the one that was asked.
    """

    text: str
    output: T_co = None  # type: ignore[assignment]
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    cost: float | None = None
    finish: Finish = "stop"
    model: str = ""
    tokens_per_second: float | None = None
    turns: tuple[Turn, ...] = ()
    requests: int = 1
    native: Native | None = None
    agent: str = ""

    def turn(self) -> Turn:
        """Return the answer as an entry of the conversation."""
        return Turn("assistant", self.text, self.thinking, self.calls, native=self.native)


def cost_of_both(one: float | None, other: float | None) -> float | None:
    """Return the sum of two costs; one that is unknown makes it unknown."""
    return None if one is None or other is None else one + other


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """A piece of the answer's text."""

    text: str


class ThinkingPart(msgspec.Struct, frozen=True, tag="thinking"):
    """A piece of what a reasoning model thinks before it answers."""

    text: str


class ToolCallPart(msgspec.Struct, frozen=True, tag="tool_call"):
    """A call the model wants, whole; what is called is called when the model's answer is complete."""

    call: ToolCall


class ToolResultPart(msgspec.Struct, frozen=True, tag="tool_result"):
    """What a call came to."""

    result: ToolResult


class UsagePart(msgspec.Struct, frozen=True, tag="usage"):
    """The tokens of one request to a model, at its end; `cost` in US dollars, `None` where the price is unknown."""

    usage: Usage
    cost: float | None = None
    model: str = ""


class HandoffPart(msgspec.Struct, frozen=True, tag="handoff"):
    """The conversation goes on with another agent; the parts that follow are its own."""

    agent: str
    reason: str = ""


class AgentPart(msgspec.Struct, frozen=True, tag="agent"):
    """A part of another agent's answer, which this one asked for with the call `call_id`; may hold one itself."""

    agent: str
    call_id: str
    part: "Part"


class ReplyPart(msgspec.Struct, frozen=True, tag="reply"):
    """The last part of every stream that ended well: the whole answer, with its usage."""

    reply: Reply[Any]


Part: TypeAlias = (
    TextPart | ThinkingPart | ToolCallPart | ToolResultPart | UsagePart | HandoffPart | AgentPart | ReplyPart
)
"""What a model has said so far, and what an agent has done meanwhile."""
