"""The text a model answers with: there already, or on its way; both can be awaited and both read as text.

`ceylonai-next` has two meanings of ``agent.send_message("…")``: in 0.1.2 it blocks and returns text, in 0.3.6 it
returns a coroutine. `Told` and `Answer` are each of these and the other too.
"""

import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

from ceylon.compat.settling import finish
from ceylon.messages import Outcome

__all__ = ["Answer", "Told"]


class Told(str, Coroutine[Any, Any, str]):
    """A text that is there: `str` through and through, and ``asyncio.run`` or ``await`` give the same text."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, str]:
        yield from ()
        return str(self)

    def send(self, value: Any, /) -> Any:  # noqa: ARG002 – nothing waits for one
        """See `Coroutine`: it ends at once."""
        raise StopIteration(str(self))

    def throw(self, *error: Any) -> Any:
        """See `Coroutine`."""
        raise error[0] if isinstance(error[0], BaseException) else error[0]()

    def close(self) -> None:
        """See `Coroutine`; nothing runs."""

    def __str__(self) -> str:
        return str.__str__(self)


class Answer(Coroutine[Any, Any, str]):
    """A text that is on its way: a coroutine for ``await``, ``gather``, ``create_task``; it starts when awaited.

    Read as text before (printed, formatted, compared with text, sliced, any method of `str`) it waits here and now,
    which holds up the loop that runs: the way of 0.1.2. Later looks and awaits get the same text. It is no `str`, so
    what reads texts in C (``json.dumps``, ``"".join``) refuses it instead of reading nothing.

    Args:
        function: What is awaited, once.
        whose: The name of the agent, for `repr`.
    """

    def __init__(self, function: Callable[[], Coroutine[Any, Any, str]], whose: str) -> None:
        self._function: Callable[[], Coroutine[Any, Any, str]] | None = function
        self._running: Coroutine[Any, Any, str] | None = None
        self._outcome: Outcome | None = None
        self._whose = whose

    def __repr__(self) -> str:
        state = "not there yet" if self._outcome is None else repr(self._outcome.error or self._outcome.value)
        return f"<Answer of {self._whose!r}: {state}>"

    def __del__(self) -> None:
        if self._function is not None:
            warnings.warn(f"the answer of {self._whose!r} was never awaited", RuntimeWarning, stacklevel=2)

    # -- as a coroutine ------------------------------------------------------------------------------------------------

    async def _run(self) -> str:
        if self._outcome is None:
            if self._function is None:
                message = f"cannot await the answer of {self._whose!r} here: it is awaited elsewhere already"
                raise RuntimeError(message)
            function, self._function = self._function, None
            try:
                self._outcome = Outcome(await function())
            except Exception as error:
                self._outcome = Outcome(error=error)
                raise
        return str(self._outcome.get())

    def __await__(self) -> Generator[Any, Any, str]:
        return self._run().__await__()

    def send(self, value: Any, /) -> Any:
        """See `Coroutine`."""
        return self._start().send(value)

    def throw(self, *error: Any) -> Any:
        """See `Coroutine`; a task that is cancelled before its first step does this, and nobody has forgotten it."""
        running, self._function = self._start(), None
        return running.throw(*error)

    def close(self) -> None:
        """See `Coroutine`."""
        self._function = None
        if self._running is not None:
            self._running.close()

    def _start(self) -> Coroutine[Any, Any, str]:
        if self._running is None:
            self._running = self._run()
        return self._running

    # -- as text -------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text; if it is not there, wait for it here and now.

        Raises:
            BlockingCallError: this thread runs the loop that has to answer; `await` it.
        """
        return str(finish(self._run) if self._outcome is None else self._outcome.get())

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return self.text == other if isinstance(other, str) else self is other

    __hash__ = object.__hash__  # it is a key as a coroutine is, of its own

    def __radd__(self, other: str) -> str:
        return other + self.text


def _reading(name: str) -> Callable[..., Any]:
    def method(self: Answer, *arguments: Any, **options: Any) -> Any:
        return getattr(self.text, name)(*arguments, **options)

    method.__name__ = name
    return method


_OPERATORS: Final = (
    *("__add__", "__contains__", "__format__", "__ge__", "__getitem__", "__gt__", "__iter__", "__le__", "__len__"),
    *("__lt__", "__mod__", "__mul__", "__rmul__"),
)
for _name in (*_OPERATORS, *(name for name in dir(str) if not name.startswith("_"))):
    setattr(Answer, _name, _reading(_name))
