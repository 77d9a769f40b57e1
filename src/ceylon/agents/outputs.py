"""The type an answer has to have: its JSON schema for the model, and the value that the answer's text stands for."""

import functools
import re
import sys
from types import SimpleNamespace
from typing import Any, Final, Protocol, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from ceylon.agents.schema import complete_schema
from ceylon.errors import DefinitionError
from ceylon.messages import Message, siblings
from ceylon.models.turns import OutputSchema

__all__ = ["Output", "WrongOutputError", "declared_reply", "output_of", "reply_type"]

_UNFIT: Final = (TypeError, ValueError, NameError, AttributeError, RecursionError)
_MODULES: Final = re.compile(r"(?:\w+\.|<locals>\.)+")
_NOT_ON_THE_WIRE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_WRAPPED: Final = "value"  # the one property of an object around what is no object itself


class WrongOutputError(ValueError):
    """Text that is no value of the type; the model reads the words and tries again."""


class Output(Protocol):
    """A type, ready for use."""

    @property
    def name(self) -> str:
        """What to call it in errors."""
        ...

    @property
    def schema(self) -> OutputSchema:
        """What the model is told; an object at its root."""
        ...

    def read(self, text: str) -> Any:
        """Return the value that *text* stands for.

        Raises:
            WrongOutputError: it stands for none; the words say where it is wrong.
        """
        ...


class _Typed:
    """A type that msgspec reads: Structs, dataclasses, TypedDicts, collections, unions, plain types."""

    def __init__(self, hint: Any) -> None:
        self.name = _name(hint)
        schema, self._is_wrapped = _rooted(hint)
        complete_schema(schema)
        self.schema = OutputSchema(_wire_name(self.name), schema)
        wanted = msgspec.defstruct("Wrapped", [(_WRAPPED, hint)]) if self._is_wrapped else hint
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wanted)

    def read(self, text: str) -> Any:
        """See `Output`."""
        try:
            found = self._decoder.decode(text)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise WrongOutputError(str(error)) from error
        return getattr(found, _WRAPPED) if self._is_wrapped else found


class _Pydantic:
    """A type that only pydantic reads; the user has imported it, or there would be no such type."""

    def __init__(self, hint: Any, adapter: Any) -> None:
        self.name = _name(hint)
        self._adapter = adapter
        schema = adapter.json_schema()
        self._is_wrapped = schema.get("type") != "object"
        if self._is_wrapped:
            definitions = schema.pop("$defs", {})
            schema = _wrapped(schema) | ({"$defs": definitions} if definitions else {})
        self.schema = OutputSchema(_wire_name(self.name), schema)
        wanted: Any = msgspec.defstruct("Wrapped", [(_WRAPPED, Any)]) if self._is_wrapped else Any
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wanted)

    def read(self, text: str) -> Any:
        """See `Output`."""
        try:
            found: Any = self._decoder.decode(text)
            return self._adapter.validate_python(getattr(found, _WRAPPED) if self._is_wrapped else found)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise WrongOutputError(str(error)) from error


def output_of(hint: Any) -> Output:
    """Return *hint* as the type of an answer.

    Raises:
        DefinitionError: it has no JSON schema.
    """
    try:
        return _remembered(hint)
    except TypeError:  # a type without a hash
        return _make(hint)


def reply_type(message: Any) -> Any:
    """Return what the class of *message* says it is answered with, if a model can: ``Message[Report]``."""
    cls: type = message.__class__
    return _reply_type(cls) if hasattr(cls, "__orig_bases__") else None


@functools.lru_cache(maxsize=1024)
def _reply_type(cls: type) -> Any:
    found = declared_reply(cls)
    return None if found in (str, Any, None, type(None)) or isinstance(found, TypeVar) else found


def declared_reply(cls: type) -> Any:
    """Return the ``R`` of ``Message[R]`` where *cls* says it, whatever that is; `None` if it says nothing."""
    for base in (base for owner in cls.__mro__ for base in vars(owner).get("__orig_bases__", ())):
        if get_origin(base) is Message:
            return _resolved(get_args(base)[0], cls)
    return None


def _resolved(hint: Any, cls: type) -> Any:
    """Return *hint*, perhaps the name of a class further down, as a type; `None` if there is no such name."""
    written = SimpleNamespace(__annotations__={"reply": hint})
    module = vars(sys.modules.get(cls.__module__, SimpleNamespace()))  # none: code that was run, not imported
    try:
        return get_type_hints(written, globalns=module, localns=siblings(cls), include_extras=True)["reply"]
    except (NameError, TypeError, SyntaxError, AttributeError):
        return None


@functools.lru_cache(maxsize=256)
def _remembered(hint: Any) -> Output:
    return _make(hint)


def _make(hint: Any) -> Output:
    adapter = _pydantic_adapter(hint)
    if adapter is not None:
        return _Pydantic(hint, adapter)
    try:
        return _Typed(hint)
    except _UNFIT as error:
        reason = str(error).strip().rpartition("\n")[2]
        sentence = f"output={_name(hint)} has no JSON schema: {reason}; use Structs, dataclasses or plain types"
        raise DefinitionError(sentence) from error


def _pydantic_adapter(hint: Any) -> Any:
    """Return what reads *hint* if it is made of pydantic's models."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not _mentions(hint, pydantic.BaseModel):
        return None
    return pydantic.TypeAdapter(hint)


def _mentions(hint: Any, base: type) -> bool:
    if isinstance(hint, type) and get_origin(hint) is None:
        return issubclass(hint, base)
    return any(_mentions(argument, base) for argument in getattr(hint, "__args__", ()))


def _rooted(hint: Any) -> tuple[dict[str, Any], bool]:
    """Return the JSON schema of *hint* with an object at its root, and whether it had to be put into one."""
    (root,), definitions = msgspec.json.schema_components([hint], ref_template="#/$defs/{name}")
    name = root.get("$ref", "").rpartition("/")[2]
    is_object = definitions.get(name, {}).get("type") == "object"
    schema = dict(definitions[name]) if is_object else _wrapped(root)
    schema.setdefault("additionalProperties", False)
    if is_object and not _is_mentioned(name, definitions):
        del definitions[name]
    return schema | ({"$defs": definitions} if definitions else {}), not is_object


def _is_mentioned(name: str, definitions: dict[str, Any]) -> bool:
    """Say whether a definition refers to *name*: a type that holds itself."""
    return f'"#/$defs/{name}"'.encode() in msgspec.json.encode(definitions)


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {_WRAPPED: schema}, "required": [_WRAPPED], "additionalProperties": False}


def _name(hint: Any) -> str:
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint.__name__
    return _MODULES.sub("", str(hint))


def _wire_name(name: str) -> str:
    """Return *name* as every provider takes it: 1 to 64 of A-Z a-z 0-9 _ -."""
    return _NOT_ON_THE_WIRE.sub("_", name).strip("_")[:64] or "output"
