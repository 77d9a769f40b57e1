"""What travels: messages, the envelopes around them, and the outcomes that come back.

A message is frozen data. An envelope is a message plus addresses and context, all of it plain data, so that it can be
logged, journaled, sent to another machine or drawn on a page.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, dataclass_transform

import msgspec

from ceylon.errors import DefinitionError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
else:  # the default is the type checkers' business; at run time 3.11 and 3.12 know no such argument
    from typing import TypeVar

    R = TypeVar("R")

__all__ = [
    "ASK",
    "STREAM",
    "TELL",
    "ActionCall",
    "Envelope",
    "Kind",
    "Message",
    "Outcome",
    "Tick",
    "attempt",
    "siblings",
    "type_name",
]

Kind: TypeAlias = Literal["tell", "ask", "stream"]
TELL: Final[Kind] = "tell"
ASK: Final[Kind] = "ask"
STREAM: Final[Kind] = "stream"

_tags: dict[str, type] = {}  # tag → message class; filled when classes are made, read by codecs


def _check_tag(tag: str, module: str) -> None:
    """Refuse a tag that another module's message has; the same module (a notebook cell run again) may replace it."""
    other = _tags.get(tag)
    if other is not None and other.__module__ != module:
        msg = (
            f"message {tag!r} is defined in {other.__module__} and again in {module}; "
            f'rename one, or give it a tag of its own: class {tag.rsplit(".", 1)[-1]}(Message, tag="...")'
        )
        raise DefinitionError(msg)


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """Gives every message class a tag of its own and keeps two modules from sharing one."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> "MessageMeta":
        options.setdefault("frozen", True)
        options.setdefault("tag_field", "$type")
        tag = options.setdefault("tag", namespace.get("__qualname__", name))
        if isinstance(tag, str):  # asked before the class is made, so that a refused one leaves nothing behind
            _check_tag(tag, namespace["__module__"])
        made = super().__new__(mcs, name, bases, namespace, **options)
        if isinstance(tag, str):
            _tags[tag] = made
        return made


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))  # again: mypy asks the bases first
class Message(msgspec.Struct, Generic[R], metaclass=MessageMeta):
    """Base of messages: frozen, typed, with a tag; ``Message[R]`` says that an ask is answered by an ``R``.

    Fields are annotated class attributes, as in a dataclass. The tag that stands for the class in bytes is its
    qualified name; ``class Order(Message, tag="shop.order")`` chooses another.
    """

    if TYPE_CHECKING:

        def __init__(self) -> None:
            """Take nothing, where there is no field; to type checkers msgspec's own takes anything."""


class ActionCall(Message[Any], tag="$action"):
    """Run an action of the recipient; `Ref.call` sends it."""

    action: str
    arguments: dict[str, Any]


class Tick(Message[None], tag="$tick"):
    """Run the method *name* of the recipient, which is marked `@every` or `@cron`; it is time, or somebody says so."""

    name: str


class Envelope(msgspec.Struct, eq=False):
    """A message on its road: from whom, to whom, until when, and as part of what.

    `deadline` is seconds on the mesh's clock; `hops` counts the agents passed; `chain` holds the addresses that wait
    for this envelope's answer, outermost first; `parent` is the id of the envelope whose handler sent this one, or 0,
    and `root` that of the one it all began with. `priority`: see `ceylon.core.terms`.
    """

    id: int
    kind: Kind
    sender: str
    recipient: str
    message: Any
    deadline: float | None = None
    parent: int = 0
    hops: int = 0
    chain: tuple[str, ...] = ()
    topic: str | None = None
    trace: str | None = None
    budget: Any = None
    priority: int = 0
    root: int = 0


class Outcome(msgspec.Struct, frozen=True, eq=False):
    """How an ask ended: a value, or an error to be raised where it is awaited."""

    value: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


def attempt(function: Callable[[], Any]) -> Outcome:
    """Return what *function* returns or raises; carried to whoever waits, and raised there."""
    try:
        return Outcome(function())
    except BaseException as error:  # noqa: BLE001 – SystemExit and the like too: a thread of ours must outlive them
        return Outcome(error=error)


def siblings(cls: type) -> dict[str, type]:
    """Return the messages defined beside *cls*, by name: those local to the same function, for names in annotations."""
    scope = cls.__qualname__.rpartition(".")[0]
    known = [each for each in _tags.values() if each.__module__ == cls.__module__]
    return {each.__name__: each for each in known if each.__qualname__.rpartition(".")[0] == scope}


def type_name(message: object) -> str:
    """Return what to call *message* in an error: its type, or the action or method it asks for."""
    if type(message) is ActionCall:
        return f"action {message.action!r}"
    if type(message) is Tick:
        return f"tick of {message.name!r}"
    return type(message).__name__
