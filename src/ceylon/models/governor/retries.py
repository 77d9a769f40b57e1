"""Which failures another try may mend, how long to wait before it, and how many tries a provider is to bear."""

import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ceylon.errors import (
    ModelError,
    ModelStatusError,
    ModelSuspendedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from ceylon.models.governor.minute import Minute

if TYPE_CHECKING:
    import random

    from ceylon.settings import Settings

__all__ = ["Allowance", "is_failure", "is_passing", "pause_before"]

_PASSING: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_NEVER: Final = frozenset({400, 401, 403, 404, 413, 422})  # whatever the server says of retrying
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SPENT: Final = ("insufficient_quota", "spend_limit", "billing", "credit_balance")
_TOO_MANY: Final = 429
_PATIENT: Final = 10.0  # seconds; who waits for less may himself be the cause of a timeout
_SERVER_ERRORS: Final = range(500, 600)
_REQUEST_TIMEOUT: Final = 408


def is_passing(error: ModelError) -> bool:
    """Say whether the same request may be answered a little later."""
    if isinstance(error, ModelStatusError):
        if error.status in _NEVER or error.should_retry is False or is_spent(error):
            return False
        return error.status in _PASSING or error.should_retry is True
    if isinstance(error, ModelUnavailableError):
        return not isinstance(error, ModelSuspendedError) and not _is_about_tls(error) and not _is_nobody_here(error)
    return False


def is_spent(error: ModelStatusError) -> bool:
    """Say whether what was paid for is used up: waiting does not bring it back."""
    return any(word in error.code for word in _SPENT)


def is_failure(error: ModelError) -> bool:
    """Say whether the fault is the server's own, or the way's to it: a breaker counts those."""
    if isinstance(error, ModelStatusError):
        return error.status in _SERVER_ERRORS or error.status == _REQUEST_TIMEOUT
    if isinstance(error, ModelTimeoutError):
        return error.timeout >= _PATIENT
    return isinstance(error, ModelUnavailableError) and not isinstance(error, ModelSuspendedError)


def _is_nobody_here(error: ModelUnavailableError) -> bool:
    """Say whether a server of this machine is not running: the way to start it is worth more than three more tries."""
    return error.__cause__ is not None and urlsplit(error.address).hostname in _LOOPBACK


def _is_about_tls(error: BaseException) -> bool:
    """Say whether a certificate or handshake was refused, which the next try would be too."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def pause_before(error: ModelError, tries: int, settings: "Settings", random_source: "random.Random") -> float | None:
    """Return the seconds to wait before try *tries* + 1; `None`: the server asks for more patience than there is.

    What the server asks for itself is waited for in the line, by everybody; here it is nothing.
    """
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return 0.0 if asked <= settings.retry_longest_pause else None
    most = min(settings.retry_first_pause * 2 ** (tries - 1), settings.retry_longest_pause)
    return random_source.uniform(0.0, most)


class Allowance:
    """Further tries in a minute: a share of the requests of that minute, and a few more.

    A provider in trouble does not get several times its usual load from those who try again.
    """

    def __init__(self, share: float, spare: int, requests: Minute | None = None) -> None:
        self._share, self._spare = share, spare
        self._requests = Minute() if requests is None else requests
        self._tries = Minute()

    def __repr__(self) -> str:
        return f"<Allowance {self._tries!r} of {self._spare} and {self._share:.0%} of {self._requests!r}>"

    def beside(self, share: float, spare: int) -> "Allowance":
        """Return one for tries of another kind, by the same requests."""
        return Allowance(share, spare, self._requests)

    def count(self, now: float) -> None:
        """Count a first try."""
        self._requests.add(now)

    def is_there(self, now: float) -> bool:
        """Say whether another try is allowed now."""
        return self._tries.count(now) < self._spare + int(self._share * self._requests.count(now))

    def take(self, now: float) -> None:
        """Count a further try."""
        self._tries.add(now)

    def give_back(self, now: float) -> None:
        """Do not count a further try after all: one that was answered after a mere refusal, or not made."""
        self._tries.add(now, -1)

    def next_at(self, now: float) -> float:
        """Return when there may be more of them, without more requests."""
        return self._tries.changes_at(now)
