"""Keep keys out of everything that is printed, logged or raised."""

import hmac
import re
from typing import Final, NoReturn

from ceylon.errors import ModelConfigError
from ceylon.settings import DEFAULTS

__all__ = ["MASK", "Secret", "mask", "redact", "spots"]

MASK: Final = "****"
"""What is shown instead of a key."""
_SHORTEST_KEY: Final = 4  # replacing shorter ones would only garble the server's words
_WORDS: Final = re.compile(
    r"""(?ix)
    ( (?<![a-z0-9]) (?: authorization | x-api-key | api[-_]?key | x-goog-api-key | set-cookie | cookie )
      ["']? \s* [=:] \s* ["']? (?: (?:bearer|basic) \s+ )?
    | (?: token | key | secret | password ) =
    | \b bearer \s+
    )
    [^\s"',;&<>}]+
    """
)
_LOOKS_LIKE_A_KEY: Final = re.compile(
    r"\b(?:(?:sk|gsk|xai|tgp|hf|gh[opsur]|github_pat|glpat|xox[abeprs])[-_]|AIza)[A-Za-z0-9_-]{8,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
)


class Secret:
    """A key that shows itself only to `reveal`; it can be shared and compared, and is never written down."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.strip()

    @classmethod
    def of(cls, value: "str | Secret | None") -> "Secret | None":
        """Return *value* as a secret; nothing and blank text are no key at all."""
        if value is None or isinstance(value, Secret):
            return value
        return cls(value) if value.strip() else None

    def reveal(self) -> str:
        """Return the key itself, for the one header it goes into."""
        return self._value

    def check(self, source: str) -> None:
        """Raise `ModelConfigError` for a key no header can carry, naming its *source* and not the key."""
        if not self._value or not all("!" <= character <= "~" for character in self._value):
            sentence = f"the key in {source} is not plain printable text; copy it again, without quotes"
            raise ModelConfigError(sentence)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        sentence = "a Secret is not written down; pass the name of an environment variable instead"
        raise TypeError(sentence)


def redact(words: str, key: Secret | None = None, *, limit: int = DEFAULTS.model_error_body) -> str:
    """Return *words* without *key* and whatever else looks like one, cut to *limit* bytes."""
    if key is not None and len(key.reveal()) >= _SHORTEST_KEY:
        words = words.replace(key.reveal(), MASK)
    words = mask(words).strip()
    raw = words.encode(errors="replace")
    return words if len(raw) <= limit else raw[: limit - 3].decode(errors="ignore") + "…"


def mask(words: str) -> str:
    """Return *words* without whatever looks like a key."""
    return _LOOKS_LIKE_A_KEY.sub(MASK, _WORDS.sub(rf"\g<1>{MASK}", words))


def spots(words: str) -> list[tuple[int, int]]:
    """Return from where to where *words* have what `mask` would leave out; some may lie in others."""
    named = [(found.end(1), found.end()) for found in _WORDS.finditer(words)]
    return [*named, *(found.span() for found in _LOOKS_LIKE_A_KEY.finditer(words))]
