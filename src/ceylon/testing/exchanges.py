"""One request to a model and what came of it, as plain data: what a cassette is made of."""

import builtins
import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from ceylon import errors
from ceylon.models.embedding import Taken
from ceylon.models.port import Abilities
from ceylon.models.scripted import ScriptError
from ceylon.models.turns import Attachment, Part, Reply, Request
from ceylon.testing.lateness import Late
from ceylon.testing.outline import is_items, is_mapping
from ceylon.testing.vectors import check_packed

__all__ = ["Exchange", "Verb", "abilities_of", "error_of", "part_of", "plain", "plain_error", "reply_of"]

Verb: TypeAlias = Literal["complete", "stream", "embed"]

_LEFT_OUT: Final = frozenset({"timeout"})  # of a request: how long somebody waits is no part of the question
_PARTS: Final = {str(kind.__struct_config__.tag): kind for kind in get_args(Part)}
_ERRORS: Final[Mapping[str, type[Exception]]] = {
    **{name: kind for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)},
    **{name: getattr(errors, name) for name in errors.__all__ if name.endswith("Error")},
    "ScriptError": ScriptError,
}


class Exchange(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A request and its outcome: a reply, the parts of a stream, vectors, an error, or nothing, when nobody waited.

    All of it is plain data with secrets masked, as it stands in the file.

    Attributes:
        model: The model's name.
        verb: How it was asked.
        request: What it was asked.
        parts: Of a stream.
        reply: Of a request that was answered whole.
        vectors: Of texts, packed.
        taken: What the requests for vectors took.
        error: What was raised.
        left: Whoever asked was cancelled, or took no more.
        late: Whose time was over then, if that was why.
        first: Seconds until the first part came.
        seconds: Seconds until it was over, one way or the other.
    """

    model: str
    verb: Verb
    request: dict[str, Any]
    parts: list[dict[str, Any]] = []
    reply: dict[str, Any] | None = None
    vectors: list[dict[str, Any]] = []
    taken: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None
    left: bool = False
    late: Late = ""
    first: float = 0.0
    seconds: float = 0.0

    def question(self) -> dict[str, Any]:
        """Return what has to be the same for the outcome to be the same."""
        return {"model": self.model, "verb": self.verb, "request": self.request}

    def check(self) -> None:
        """Raise unless the outcome can be given back; of several kinds of error, by what is wrong."""
        self._check_outcome()
        for part in self.parts:
            part_of(part)
        if self.reply is not None:
            reply_of(self.reply)
        if self.error is not None:
            error_of(self.error)
        for vector in self.vectors:
            check_packed(vector)
        for each in self.taken:
            msgspec.convert(each, Taken)

    def _check_outcome(self) -> None:
        if self.error is not None or self.left or self.verb == "stream":
            return
        if self.verb == "complete" and self.reply is None:
            sentence = "it has no reply, no error, and nobody left it"
            raise ValueError(sentence)
        texts = self.request.get("texts", ())
        if self.verb == "embed" and len(self.vectors) != len(texts):
            sentence = f"it has {len(self.vectors)} vectors of {len(texts)} texts"
            raise ValueError(sentence)


def plain(value: Any) -> Any:
    """Return *value* as plain data: structs without what is as always, attachments by their digest."""
    if isinstance(value, Attachment):
        digest = hashlib.sha256(value.content).hexdigest()
        content = f"sha256 {digest}, {len(value.content)} bytes"
        return {"media_type": value.media_type, "content": content, **({"name": value.name} if value.name else {})}
    if isinstance(value, msgspec.Struct):
        return _plain_struct(value)
    if is_mapping(value):
        return {str(key): plain(each) for key, each in value.items()}
    if is_items(value):
        return [plain(each) for each in value]
    return value if isinstance(value, str | int | float | None) else msgspec.to_builtins(value, enc_hook=repr)


def _plain_struct(value: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        each = getattr(value, field.name)
        is_left_out = isinstance(value, Request) and field.name in _LEFT_OUT
        if not is_left_out and (field.required or each != _default(field)):
            fields[field.name] = plain(each)
    tag = value.__struct_config__.tag
    if tag is None:
        return fields
    return {str(tag): next(iter(fields.values())) if _has_one_field(type(value)) else fields}


def _has_one_field(kind: type[msgspec.Struct]) -> bool:
    """Say whether a part of *kind* is its one field."""
    return len(kind.__struct_fields__) == 1


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default


def part_of(data: dict[str, Any]) -> Part:
    """Return a part of a stream that was made plain."""
    ((tag, value),) = data.items()
    kind = _PARTS[tag]
    fields = {kind.__struct_fields__[0]: value} if _has_one_field(kind) else value
    made: Part = msgspec.convert({"type": tag, **fields}, kind)
    return made


def reply_of(data: dict[str, Any]) -> Reply:
    """Return a reply that was made plain."""
    return msgspec.convert(data, Reply[Any])


def abilities_of(data: dict[str, Any]) -> Abilities:
    """Return the abilities of a session that were made plain."""
    return msgspec.convert(data, Abilities)


def plain_error(error: Exception) -> dict[str, Any]:
    """Return *error* as plain data: its kind, or the nearest that everybody knows, its sentence and its facts."""
    kind = next(each.__name__ for each in type(error).__mro__ if _ERRORS.get(each.__name__) is each)
    facts = {name: plain(each) for name, each in vars(error).items() if not name.startswith("_")}
    return {"kind": kind, "words": str(error), **({"facts": facts} if facts else {})}


def error_of(data: dict[str, Any]) -> Exception:
    """Return an error that was made plain: nothing but one of the kinds above comes of it."""
    kind = _ERRORS.get(data["kind"])
    if kind is None:
        sentence = f"{data['kind']!r} is no kind of error"
        raise ValueError(sentence)
    made = kind.__new__(kind, data["words"])
    made.args = (data["words"],)
    facts = {name: tuple(each) if is_items(each) else each for name, each in data.get("facts", {}).items()}
    made.__dict__.update(facts)
    return made
