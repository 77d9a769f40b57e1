"""What happens to an agent after one of its handlers failed: the decision, and how often and how soon to restart.

The semantics are Erlang/OTP's: at most so many restarts within a period, a growing pause before each; when that is
exceeded, the agent stops for good. The pause is exponential with full jitter (Brooker, "Exponential Backoff And
Jitter", AWS Architecture Blog, 2015).
"""

import random
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from ceylon.core.ports import DIRECTIVES, Directive
from ceylon.errors import DefinitionError

if TYPE_CHECKING:
    from ceylon.core.ports import AgentOptions
    from ceylon.messages import Envelope
    from ceylon.settings import Settings

__all__ = ["Supervisor"]

_DOUBLINGS: Final = 64  # the pause has reached its most long before; more would not fit into a float


class Supervisor:
    """Decides for one mesh; what it knows of an agent's past is handed to it."""

    def __init__(self, settings: "Settings", random_source: random.Random) -> None:
        self._settings = settings
        self._random = random_source

    def decide(self, options: "AgentOptions", envelope: "Envelope", error: BaseException) -> Directive:
        """Return what to do after *error*: what the agent's `on_failure` is, or what that function says.

        Raises:
            DefinitionError: it says something that is none of the directives.
        """
        said: object = options.on_failure
        if callable(said):
            said = said(error, envelope)
        if said not in DIRECTIVES:
            message = f"on_failure says {said!r}; it can be one of {', '.join(DIRECTIVES)}"
            raise DefinitionError(message)
        return cast("Directive", said)

    def may_restart(self, failures: deque[float], now: float, options: "AgentOptions | None" = None) -> bool:
        """Note a restart at *now*, unless there were too many within the period; then say no.

        The period is open at its beginning: a restart exactly so long ago counts no more. *options* are those of the
        agent whose restarts these are, or whose children's; what they leave open the settings say.
        """
        most, period = self._settings.restarts, self._settings.restart_period
        if options is not None:
            most = most if options.max_restarts is None else options.max_restarts
            period = period if options.restart_period is None else options.restart_period
        while failures and failures[0] <= now - period:
            failures.popleft()
        if len(failures) >= most:
            return False
        failures.append(now)
        return True

    def pause(self, failures: deque[float]) -> float:
        """Return the seconds to wait before the next restart."""
        most = min(self._settings.backoff_most, self._settings.backoff_first * 2 ** min(len(failures) - 1, _DOUBLINGS))
        return self._random.uniform(0.0, most)
