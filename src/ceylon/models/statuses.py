"""Turn an HTTP status that says no into the error that says why."""

import email.utils
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from ceylon.errors import ModelAuthError, ModelRateLimitError, ModelStatusError
from ceylon.models.endpoint import Endpoint
from ceylon.models.secret import redact

__all__ = ["retry_after", "status_error", "words_of"]

_REDIRECTS: Final = range(300, 400)
_YES_OR_NO: Final = {"true": True, "false": False}
_CODE_BYTES: Final = 200
_KINDS: Final[Mapping[int, type[ModelStatusError]]] = {
    401: ModelAuthError,
    403: ModelAuthError,
    429: ModelRateLimitError,
}
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Inner(msgspec.Struct):
    message: str | None = None


class _Body(msgspec.Struct):
    """The usual places of an error's words."""

    error: _Inner | str | None = None
    message: str | None = None
    detail: str | None = None


_bodies: Final = msgspec.json.Decoder(_Body | list[_Body])  # Gemini wraps its errors in a list


def status_error(endpoint: Endpoint, status: int, body: bytes, headers: Mapping[str, str]) -> ModelStatusError:
    """Return the error for *status*, with the server's own words in it, redacted."""
    words = words_of(body)
    if status in _REDIRECTS:
        words = f"a redirect to {headers.get('location', 'nowhere')!r}, which is not followed; correct the address"
    kind = _KINDS.get(status, ModelStatusError)
    code, delay = _facts_of(body)
    asked = retry_after(headers)
    return kind(
        endpoint.model,
        status,
        redact(words, endpoint.key) or "(no words)",
        retry_after=delay if asked is None else asked,
        should_retry=_YES_OR_NO.get(headers.get("x-should-retry", "").strip().lower()),
        code=redact(code, endpoint.key, limit=_CODE_BYTES),
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


def _facts_of(body: bytes) -> tuple[str, float | None]:
    """Return the names an error has in its body, and the seconds that Gemini's `RetryInfo` asks to wait."""
    try:
        found: Any = msgspec.json.decode(body)
    except _UNREADABLE:
        return "", None
    error = _field(_items(found)[0] if _items(found) else found, "error")
    details = _field(error, "details")
    names = [_field(error, name) for name in ("code", "type", "status")] + [_field(details, "error_code")]
    delays = [_field(each, "retryDelay") for each in _items(details)]
    code = " ".join(name for name in names if isinstance(name, str))
    return code, next((_number(delay[:-1]) for delay in delays if isinstance(delay, str) and delay.endswith("s")), None)


def _field(value: Any, name: str) -> Any:
    """Return what JSON of any shape has under *name*."""
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _items(value: Any) -> "Sequence[Any]":
    return tuple(cast("Iterable[Any]", value)) if isinstance(value, list) else ()


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
        served = _date(headers.get("date", ""))  # by the server's own clock, if it tells: ours may be a day off
        return max(0.0, date - (time.time() if served is None else served))
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
