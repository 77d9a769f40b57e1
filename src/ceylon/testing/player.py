"""What replays: it gives out what a cassette has, to each request its own."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
import msgspec

from ceylon.testing.cassette import Cassette, CassetteError
from ceylon.testing.exchanges import Exchange, Verb, error_of, plain
from ceylon.testing.lateness import let_time_be_over
from ceylon.testing.marks import BEGINNING, LITERAL, fill, names_in, neutral
from ceylon.testing.nearest import difference, nearest
from ceylon.testing.outline import write
from ceylon.testing.tape import OWN

if TYPE_CHECKING:
    from ceylon.testing.masking import Masking

__all__ = ["Player"]

_ADVICE: Final = "If the change is meant, record again with CEYLON_RECORD=1"


class Player:
    """Gives out what a cassette has: to each request its own outcome, whatever order they come in.

    The first request without one ends the replay: it and all that follow raise the same error.

    Args:
        cassette: What there is.
        path: Where it is from.
        masking: Masks what is asked, as it was when it was recorded.
        is_timed: Whether an answer takes as long as it did.
    """

    def __init__(self, cassette: Cassette, path: Path, masking: "Masking", *, is_timed: bool = False) -> None:
        self.cassette, self.path, self.masking, self.is_timed = cassette, path, masking, is_timed
        self.failure: CassetteError | None = None
        self._unused = [(neutral(each.question()), each) for each in cassette.exchanges]
        self._secrets: dict[str, str] = {}  # of requests that were asked again: what is here in the place of which
        self._reads = {key: deque(values) for key, values in cassette.reads.items()}
        self._lock = threading.Lock()

    async def take(self, model: str, verb: Verb, request: Any) -> Exchange:
        """Return the first unused exchange with the same question, secrets put back.

        Raises:
            CassetteError: there is none; it shows the difference to the one that is most like it.
        """
        await anyio.lowlevel.checkpoint()
        secrets: list[str] = []
        asked = neutral(Exchange(model, verb, self.masking.apply(plain(request), secrets)).question())
        with self._lock:
            if self.failure is not None:
                raise CassetteError(str(self.failure))
            for place, (question, exchange) in enumerate(self._unused):
                if question == asked:
                    del self._unused[place]
                    return self._given_back(exchange, secrets)
            self.failure = self._mismatch(asked)
            raise CassetteError(str(self.failure))

    async def wait(self, seconds: float) -> None:
        """Let as much time pass as passed then, in a replay that is timed."""
        if self.is_timed and seconds > 0:
            await anyio.sleep(seconds)

    async def end(self, exchange: Exchange) -> None:
        """Raise the recorded error, or wait for what ended *exchange* then; return if it ended well."""
        if exchange.error is not None:
            raise error_of(exchange.error)
        if exchange.left:
            let_time_be_over(exchange.late)
            await anyio.sleep_forever()

    def read(self, key: str, source: Callable[[], float]) -> float:
        """See `Tape`; where nothing is left the replay has failed, but a mesh's own parts go on."""
        with self._lock:
            left = self._reads.get(key)
            if left:
                return left.popleft()
            if not key.endswith(OWN):  # how often a mesh draws for its pauses depends on how busy the machine is
                self.fail(f"{self.path}: {key} is read more often than was recorded. {_ADVICE}")
            return source()

    def fail(self, sentence: str) -> CassetteError:
        """Take note of the first failure; return the error for this one."""
        error = CassetteError(sentence)
        if self.failure is None:
            self.failure = error
        return error

    def refuse(self, what: str) -> CassetteError:
        """Return the error for *what* would leave this process."""
        return self.fail(f"{what}, while {self.path} is replayed: a replay uses no network. {_ADVICE}, or leave it out")

    def check_used(self) -> None:
        """Raise `CassetteError` if exchanges are left."""
        if self._unused:
            first = write(self._unused[0][0])
            sentence = (
                f"{self.path}: {len(self._unused)} recorded requests were never made. {_ADVICE}. The first:\n{first}"
            )
            raise CassetteError(sentence)

    def _given_back(self, exchange: Exchange, secrets: Sequence[str]) -> Exchange:
        """Return *exchange* with the secrets that are known here; *secrets* are those of its request, in order."""
        names = names_in(exchange.request)
        if len(names) == len(secrets):
            self._secrets.update(zip(reversed(names), reversed(secrets), strict=True))

        def secret(name: str) -> str:
            if name == LITERAL:
                return BEGINNING
            if name not in self._secrets:
                known = None if name.isdigit() else self.masking.secret(name)  # a number means nothing elsewhere
                self._secrets[name] = self.masking.stand_in(name) if known is None else known
            return self._secrets[name]

        return msgspec.structs.replace(
            exchange,
            parts=fill(exchange.parts, secret),
            reply=fill(exchange.reply, secret),
            error=fill(exchange.error, secret),
        )

    def _mismatch(self, asked: dict[str, Any]) -> CassetteError:
        questions = [question for question, _ in self._unused]
        place = nearest(asked, questions)
        if place is None:
            shown = write(asked)
            return CassetteError(f"{self.path}: a request more than was recorded. {_ADVICE}. It is:\n{shown}")
        shown = difference(questions[place], asked)
        number = 1 + next(at for at, each in enumerate(self.cassette.exchanges) if each is self._unused[place][1])
        what = f"a request differs from what was recorded; the nearest is exchange {number}"
        return CassetteError(f"{self.path}: {what}. {_ADVICE}.\n{shown}")
