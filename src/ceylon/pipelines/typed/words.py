"""The words for one stage, and for items, as type checkers see them. What a choice gives nobody can know before."""
# mypy: disable-error-code="overload-overlap, overload-cannot-match"
# They overlap on purpose: what is awaited, or yields, is a plain function, too; the first that fits is meant.

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
    from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

    from ceylon.agents.agent import Agent
    from ceylon.core.composing import Awaited, In, Plain, Takes, Wide, Yields
    from ceylon.core.ref import BlockingRef, Ref
    from ceylon.pipelines.events import Failed
    from ceylon.pipelines.nodes import AtLimit, OnFailure
    from ceylon.pipelines.options import On
    from ceylon.pipelines.value import Pipeline

    A = TypeVar("A", bound=Any)
    B = TypeVar("B", bound=Any)

    Items: TypeAlias = "Iterable[A] | AsyncIterable[A]"
    Raised: TypeAlias = Literal["cancel", "wait"]
    Kept: TypeAlias = Literal["keep"]

    class Whatever:
        """Fits what functions of the standard library ask of the type that they leave open."""

        def __add__(self, other: Any, /) -> Any: ...
        def __radd__(self, other: Any, /) -> Any: ...
        def __lt__(self, other: Any, /) -> bool: ...
        def __round__(self, digits: int = ..., /) -> Any: ...

    class Sums(Protocol):
        """Like `sum`. What it may be called with besides tells it from a lambda, which checkers see through."""

        def __call__(self, items: Iterable[Whatever], /, start: Any) -> Any: ...

    class Sorts(Protocol):
        """Like `sorted`, `max`, `min`."""

        def __call__(self, items: Iterable[Whatever], /, *, key: None) -> Any: ...

    class Rounds(Protocol):
        """Like `round`."""

        def __call__(self, number: Whatever, /, ndigits: None) -> Any: ...

    Open: TypeAlias = "Sums | Sorts | Rounds | type[list[Any] | set[Any] | frozenset[Any] | tuple[Any, ...]]"

    class Passes(Pipeline[In, Any]):
        """What `tap` makes: the value goes on as it is."""

        def __ceylon_passes__(self, value: In) -> None: ...

    class Gathers(Pipeline[Items[Any], list[Any]]):
        """What `gather` makes: a list of what comes."""

        def __ceylon_gathers__(self) -> None: ...

    @overload  # `sum`, `max`, `sorted`: what such a function takes and gives, it says of one list only
    def each(
        step: Open, concurrency: int = ..., *, ordered: bool = ..., on_failure: OnFailure = ...
    ) -> Pipeline[Items[Any], list[Any]]: ...
    @overload
    def each(
        step: Awaited[A, B], concurrency: int = ..., *, ordered: bool = ..., on_failure: Raised = ...
    ) -> Pipeline[Items[A], list[B]]: ...
    @overload
    def each(
        step: Awaited[A, B], concurrency: int = ..., *, ordered: bool = ..., on_failure: Kept
    ) -> Pipeline[Items[A], list[B | Failed]]: ...
    @overload
    def each(
        step: Yields[A, B], concurrency: int = ..., *, ordered: bool = ..., on_failure: Raised = ...
    ) -> Pipeline[Items[A], list[list[B]]]: ...
    @overload
    def each(
        step: Yields[A, B], concurrency: int = ..., *, ordered: bool = ..., on_failure: Kept
    ) -> Pipeline[Items[A], list[list[B] | Failed]]: ...
    @overload
    def each(
        step: Plain[A, B], concurrency: int = ..., *, ordered: bool = ..., on_failure: Raised = ...
    ) -> Pipeline[Items[A], list[B]]: ...
    @overload
    def each(
        step: Plain[A, B], concurrency: int = ..., *, ordered: bool = ..., on_failure: Kept
    ) -> Pipeline[Items[A], list[B | Failed]]: ...
    @overload
    def each(
        step: Callable[..., Any], concurrency: int = ..., *, ordered: bool = ..., on_failure: OnFailure = ...
    ) -> Pipeline[Items[Any], list[Any]]: ...
    def each(step: Any, concurrency: int = 0, *, ordered: bool = True, on_failure: OnFailure = "cancel") -> Any:
        """Return *step* for each item of a list, any iterable, an async iterator, a flow. It gives a flow."""

    @overload
    def retry(
        step: Open,
        times: int = ...,
        *,
        on: On = ...,
        pause: float = ...,
        factor: float = ...,
        jitter: float = ...,
    ) -> Pipeline[Any, Any]: ...
    @overload
    def retry(
        step: Awaited[A, B],
        times: int = ...,
        *,
        on: On = ...,
        pause: float = ...,
        factor: float = ...,
        jitter: float = ...,
    ) -> Pipeline[A, B]: ...
    @overload
    def retry(
        step: Yields[A, B],
        times: int = ...,
        *,
        on: On = ...,
        pause: float = ...,
        factor: float = ...,
        jitter: float = ...,
    ) -> Pipeline[A, list[B]]: ...
    @overload
    def retry(
        step: Plain[A, B],
        times: int = ...,
        *,
        on: On = ...,
        pause: float = ...,
        factor: float = ...,
        jitter: float = ...,
    ) -> Pipeline[A, B]: ...
    @overload
    def retry(
        step: Callable[..., Any],
        times: int = ...,
        *,
        on: On = ...,
        pause: float = ...,
        factor: float = ...,
        jitter: float = ...,
    ) -> Pipeline[Any, Any]: ...
    def retry(
        step: Any, times: int = 0, *, on: On = Exception, pause: float = 0, factor: float = 0, jitter: float = 1
    ) -> Any:
        """Return *step* with further tries after a failure."""

    @overload
    def timeout(step: Open, seconds: float) -> Pipeline[Any, Any]: ...
    @overload
    def timeout(step: Awaited[A, B], seconds: float) -> Pipeline[A, B]: ...
    @overload
    def timeout(step: Yields[A, B], seconds: float) -> Pipeline[A, list[B]]: ...
    @overload
    def timeout(step: Plain[A, B], seconds: float) -> Pipeline[A, B]: ...
    @overload
    def timeout(step: Callable[..., Any], seconds: float) -> Pipeline[Any, Any]: ...
    def timeout(step: Any, seconds: float) -> Any:
        """Return *step* with a limit: after *seconds* it is cancelled, and that is a `StageTimeoutError`."""

    @overload
    def loop(
        step: Awaited[A, B], *, at_most: int, until: Takes[B] | None = ..., at_limit: AtLimit = ...
    ) -> Pipeline[A, B]: ...
    @overload
    def loop(
        step: Yields[A, B], *, at_most: int, until: Takes[list[B]] | None = ..., at_limit: AtLimit = ...
    ) -> Pipeline[A, list[B]]: ...
    @overload
    def loop(
        step: Plain[A, B], *, at_most: int, until: Takes[B] | None = ..., at_limit: AtLimit = ...
    ) -> Pipeline[A, B]: ...
    @overload
    def loop(step: Wide, *, at_most: int, until: Any = ..., at_limit: AtLimit = ...) -> Pipeline[Any, Any]: ...
    def loop(step: Any, *, at_most: int, until: Any = None, at_limit: AtLimit = "raise") -> Any:
        """Return *step* again and again: each round gets what the one before returned."""

    @overload
    def branch(by: Open, choices: Mapping[Any, Any], default: Any = ...) -> Pipeline[Any, Any]: ...
    @overload
    def branch(by: Takes[A], choices: Mapping[Any, Any], default: Any = ...) -> Pipeline[A, Any]: ...
    @overload
    def branch(by: Callable[..., Any], choices: Mapping[Any, Any], default: Any = ...) -> Pipeline[Any, Any]: ...
    def branch(by: Any, choices: Mapping[Any, Any], default: Any = None) -> Any:
        """Return a choice: ``by(value)`` gives a key, and the stage of that key gets the value."""

    @overload
    def reduce(function: Callable[[B, A], Awaitable[B]], initial: B) -> Pipeline[Items[A], B]: ...
    @overload
    def reduce(function: Callable[[B, A], B], initial: B) -> Pipeline[Items[A], B]: ...
    @overload
    def reduce(function: Wide, initial: Any) -> Pipeline[Items[Any], Any]: ...
    def reduce(function: Any, initial: Any) -> Any:
        """Return a stage that folds the items of a flow, in the order they come: ``function(accumulated, item)``."""

    def gather() -> Gathers:
        """Return a stage that waits for all items of a flow and gives the list of them."""
        ...

    @overload
    def tap(step: Open) -> Passes[Any]: ...
    @overload
    def tap(step: Takes[A]) -> Passes[A]: ...
    @overload
    def tap(step: Callable[..., Any]) -> Passes[Any]: ...
    def tap(step: Any) -> Any:
        """Return a stage that shows the value to *step* and lets it go on unchanged; if *step* fails, the run does."""

    def call(target: Ref | BlockingRef | Agent, action: str, /, **arguments: Any) -> Pipeline[Any, Any]:
        """Return an *action* of a ref, or of an agent, as a pipeline of one stage."""
        ...

else:
    from ceylon.pipelines.building import (
        branch,
        call,
        each,
        gather,
        loop,
        reduce,
        retry,
        tap,
        timeout,
    )

__all__ = [
    "branch",
    "call",
    "each",
    "gather",
    "loop",
    "reduce",
    "retry",
    "tap",
    "timeout",
]
