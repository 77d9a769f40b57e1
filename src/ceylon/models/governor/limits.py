"""What the headers of an answer say about rate limits: OpenAI's, which many copy, and Anthropic's."""

import email.utils
import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

__all__ = ["Limits", "Quota", "read_limits", "served_at"]

_OPENAI: Final = b"x-ratelimit-"
_ANTHROPIC: Final = b"anthropic-ratelimit-"
_KINDS: Final[Mapping[str, str]] = {
    "requests": "requests",
    "tokens": "tokens",
    "input-tokens": "input",
    "output-tokens": "output",
}
_PIECES: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST: Final = 86_400.0  # what is further off is no rate any more


class Quota(msgspec.Struct, frozen=True):
    """One limit: so many, so many left, all of them again in so many seconds; `None` where that is not said."""

    limit: float
    remaining: float
    reset: float | None = None


class Limits(msgspec.Struct, frozen=True):
    """The limits a provider has told of; `tokens` are those of question and answer together."""

    requests: Quota | None = None
    tokens: Quota | None = None
    input: Quota | None = None
    output: Quota | None = None


def read_limits(headers: Iterable[tuple[bytes, bytes]]) -> Limits | None:
    """Return what *headers* say; `None` for nothing, as most servers do. What cannot be is passed over."""
    found: dict[str, dict[str, str]] = {}
    date = ""
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(_OPENAI):
            what, _, kind = lower[len(_OPENAI) :].decode("latin-1").partition("-")
        elif lower.startswith(_ANTHROPIC):
            kind, _, what = lower[len(_ANTHROPIC) :].decode("latin-1").rpartition("-")
        else:
            date = value.decode("latin-1") if lower == b"date" else date
            continue
        if kind in _KINDS:
            found.setdefault(_KINDS[kind], {})[what] = value.decode("latin-1")
    quotas = {kind: quota for kind, said in found.items() if (quota := _quota(said, date)) is not None}
    return Limits(**quotas) if quotas else None


def _quota(said: Mapping[str, str], date: str) -> Quota | None:
    limit, remaining = _number(said.get("limit", "")), _number(said.get("remaining", ""))
    if limit is None or remaining is None or limit <= 0 or remaining < 0:
        return None  # Azure says 0 and -1 where it means nothing
    return Quota(limit, min(limit, remaining), _reset(said.get("reset", "").strip(), date))


def _number(words: str) -> float | None:
    try:
        number = float(words)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _reset(words: str, date: str) -> float | None:
    """Return the seconds of ``6m30s``, of ``1.5``, or until a moment, by the server's own clock."""
    seconds = _number(words)
    if seconds is None and words and not _PIECES.sub("", words):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PIECES.findall(words))
    if seconds is None:
        seconds = _until(words, date)
    return seconds if seconds is not None and 0 <= seconds <= _LONGEST else None


def _until(words: str, date: str) -> float | None:
    now = served_at(date)
    if now is None:
        return None
    try:
        return max(0.0, datetime.fromisoformat(words).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def served_at(date: str) -> float | None:
    """Return the moment a ``Date`` header names; reckoned from that, a server whose clock is wrong does no harm."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
