"""Turn an HTTP status that says no into the error that says why."""

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from ceylon.errors import ModelAuthError, ModelRateLimitError, ModelStatusError
from ceylon.models.endpoint import Endpoint
from ceylon.models.secret import redact

__all__ = ["retry_after", "status_error", "words_of"]

_REDIRECTS: Final = range(300, 400)
_KINDS: Final[Mapping[int, type[ModelStatusError]]] = {
    401: ModelAuthError,
    403: ModelAuthError,
    429: ModelRateLimitError,
}
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Detail(msgspec.Struct):
    delay: str | None = msgspec.field(name="retryDelay", default=None)


class _Inner(msgspec.Struct):
    message: str | None = None
    details: msgspec.Raw = msgspec.Raw(b"null")  # a list of objects here, an object there


class _Body(msgspec.Struct):
    """The usual places of an error's words."""

    error: _Inner | str | None = None
    message: str | None = None
    detail: str | None = None


_bodies: Final = msgspec.json.Decoder(_Body | list[_Body])  # Gemini wraps its errors in a list
_details: Final = msgspec.json.Decoder(list[_Detail])


def status_error(endpoint: Endpoint, status: int, body: bytes, headers: Mapping[str, str]) -> ModelStatusError:
    """Return the error for *status*, with the server's own words in it, redacted."""
    words = words_of(body)
    if status in _REDIRECTS:
        words = f"a redirect to {headers.get('location', 'nowhere')!r}, which is not followed; correct the address"
    kind = _KINDS.get(status, ModelStatusError)
    wish = retry_after(headers)
    return kind(
        endpoint.model,
        status,
        redact(words, endpoint.key) or "(no words)",
        retry_after=_retry_delay(body) if wish is None else wish,
    )


def words_of(body: bytes) -> str:
    """Return the message inside an error body of any dialect, or else the body as text."""
    found = _read(body)
    error = found.error.message if isinstance(found.error, _Inner) else found.error
    return error or found.message or found.detail or body.decode(errors="replace")


def _read(body: bytes) -> _Body:
    try:
        found = _bodies.decode(body)
    except _UNREADABLE:
        return _Body()
    return found if isinstance(found, _Body) else next(iter(found), _Body())


def _retry_delay(body: bytes) -> float | None:
    """Return the seconds Gemini asks to wait: it says so in the body, as ``"17s"``."""
    error = _read(body).error
    if not isinstance(error, _Inner):
        return None
    try:
        delays = [each.delay for each in _details.decode(error.details) if each.delay]
    except _UNREADABLE:
        return None
    return _number(delays[0].removesuffix("s")) if delays else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds the server asks to wait: finite and never negative, `None` where it says nothing usable."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    words = headers.get("retry-after", "").strip()
    if not words:
        return None
    if (seconds := _number(words)) is not None:
        return seconds
    if (date := _date(words)) is not None:
        return max(0.0, date - time.time())
    return _number(words.partition(",")[0])  # a header sent twice arrives as a list


def _number(words: str) -> float | None:
    try:
        number = float(words)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _date(words: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(words).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
