"""What records: it fills a cassette."""

import contextlib
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio

from ceylon.errors import ModelTimeoutError
from ceylon.models.turns import Part, TextPart, ThinkingPart
from ceylon.testing.cassette import Cassette
from ceylon.testing.exchanges import Exchange, Verb, plain, plain_error
from ceylon.testing.lateness import whose_time_is_over

if TYPE_CHECKING:
    from ceylon.testing.masking import Masking

__all__ = ["DIGITS", "Writer"]

DIGITS: Final = 3  # of seconds: what is shorter than a millisecond is no waiting
_CUT: Final = (TextPart, ThinkingPart)  # parts that are pieces of one text each


class Writer:
    """Fills a cassette."""

    def __init__(self, masking: "Masking") -> None:
        self.cassette = Cassette()
        self.masking = masking
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[Exchange, Sequence[Part]]] = {}

    @contextlib.contextmanager
    def exchanging(
        self, model: str, verb: Verb, request: Any, timeout: float | None = None, parts: Sequence[Part] = ()
    ) -> Generator[Exchange]:
        """Add an exchange and take note of how it ends; *parts* is where those of a stream are put meanwhile."""
        exchange = Exchange(model, verb, self.masking.apply(plain(request)), left=True)
        with self._lock:
            self.cassette.exchanges.append(exchange)
            self._under_way[id(exchange)] = exchange, parts
        began, due = anyio.current_time(), anyio.current_effective_deadline()
        try:
            yield exchange
        except Exception as error:
            exchange.left = False
            exchange.error = self.masking.apply(plain_error(error))
            raise
        except BaseException:
            self._note_why_left(exchange, timeout, is_due=began < due <= anyio.current_time())
            raise
        else:
            exchange.left = False
        finally:
            exchange.seconds = round(anyio.current_time() - began, DIGITS)
            self._write_parts(exchange, parts)

    def finish(self) -> None:
        """Write down what has come of streams that have not ended."""
        with self._lock:
            left = list(self._under_way.values())
        for exchange, parts in left:
            self._write_parts(exchange, parts)

    def read(self, key: str, source: Callable[[], float]) -> float:
        """See `Tape`."""
        with self._lock:
            value = source()
            self.cassette.reads.setdefault(key, []).append(value)
            return value

    def _note_why_left(self, exchange: Exchange, timeout: float | None, *, is_due: bool) -> None:
        """Take note of whose time was over: the whole turn's, or only that which one of several models was given."""
        exchange.late = whose_time_is_over()
        if is_due and timeout is not None and not exchange.late:
            exchange.left = False
            exchange.error = plain_error(ModelTimeoutError(exchange.model, timeout))

    def _write_parts(self, exchange: Exchange, parts: Sequence[Part]) -> None:
        with self._lock:
            self._under_way.pop(id(exchange), None)
        made = [None if isinstance(each, _CUT) else self.masking.apply(plain(each)) for each in parts]
        for kind in _CUT:
            places = [place for place, each in enumerate(parts) if isinstance(each, kind)]
            texts = self.masking.pieces([each.text for each in parts if isinstance(each, kind)])
            for place, text in zip(places, texts, strict=True):
                made[place] = plain(kind(text))
        exchange.parts = [each for each in made if each is not None]
