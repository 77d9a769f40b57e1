"""Write request bodies and read answers: JSON in, JSON out, and one kind of error for each direction."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec

from ceylon.errors import ModelConfigError, ModelProtocolError
from ceylon.models.endpoint import Endpoint
from ceylon.models.secret import redact

__all__ = ["check_options", "encode", "read"]

_T = TypeVar("_T")

_QUOTED_BYTES: Final = 200
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode(model: str, body: Mapping[str, Any]) -> bytes:
    """Return *body* as JSON.

    Raises:
        ModelConfigError: an option JSON cannot hold, or text that is not Unicode (lone surrogates).
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError) as error:
        sentence = f"{model}: the request cannot be written as JSON: {error}"
        raise ModelConfigError(sentence) from error


def read(decoder: "msgspec.json.Decoder[_T]", body: bytes, endpoint: Endpoint) -> _T:
    """Return what *body* says.

    Raises:
        ModelProtocolError: it is not JSON, or not of the shape the format promises.
    """
    try:
        return decoder.decode(body)
    except _UNREADABLE as error:
        quoted = redact(body[:2048].decode(errors="replace"), endpoint.key, limit=_QUOTED_BYTES) or "nothing"
        words = f"{endpoint.model} at {endpoint.address}: the answer is not what it should be ({error}): {quoted}"
        raise ModelProtocolError(words) from None


def check_options(model: str, options: Mapping[str, Any], known: Collection[str], hint: str = "") -> None:
    """Raise `ModelConfigError` for an option nobody knows: servers ignore a misspelt one in silence."""
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=2)
            says = (
                f"did you mean {' or '.join(map(repr, close))}?" if close else f"it knows: {', '.join(sorted(known))}"
            )
            sentence = f"{model} has no option {name!r}; {says}{hint}"
            raise ModelConfigError(sentence)
