"""`>>`: what a pipeline is made of has it, from the layer of refs upwards. Pipelines themselves live far above.

They are loaded by name at the first use, so that nobody pays for them who composes nothing.

Type checkers see more than there is: `Composable` with what goes in and what comes out, and names for the functions
that can be stages. A function that is awaited, one that yields and a plain one give different things for one and the
same annotation, so each needs an overload of its own. What nobody can know is `Any`.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final, Generic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from typing import Protocol, TypeAlias, overload

    from typing_extensions import TypeVar

    from ceylon.core.context import BlockingContext, Context
    from ceylon.pipelines.value import Pipeline

    In = TypeVar("In", contravariant=True, default=Any)  # noqa: PLC0105 – `Pipeline[In, Out]` is read by users
    Out = TypeVar("Out", covariant=True, default=Any)  # noqa: PLC0105 – `Pipeline[In, Out]` is read by users
    A = TypeVar("A", bound=Any)
    B = TypeVar("B", bound=Any)
    T = TypeVar("T", bound=Any)
else:  # as for messages: the defaults are the type checkers' business
    from typing import TypeVar

    In = TypeVar("In", contravariant=True)  # noqa: PLC0105 – `Pipeline[In, Out]` is read by users
    Out = TypeVar("Out", covariant=True)  # noqa: PLC0105 – `Pipeline[In, Out]` is read by users

__all__ = ["Composable", "Composed", "In", "Out", "Sides"]

_BUILDING: Final = "ceylon.pipelines.building"

if TYPE_CHECKING:

    class AnyContext(Context, BlockingContext):  # type: ignore[misc]
        """Whatever a function takes as its second parameter, if that is a context."""

    Awaited: TypeAlias = "Callable[[A], Awaitable[B]] | Callable[[A, AnyContext], Awaitable[B]]"
    Yields: TypeAlias = (
        "Callable[[A], Iterator[B] | AsyncIterator[B]] | Callable[[A, AnyContext], Iterator[B] | AsyncIterator[B]]"
    )
    Takes: TypeAlias = "Composable[A, Any] | Callable[[A], Any] | Callable[[A, AnyContext], Any]"
    Plain: TypeAlias = "Composable[A, B] | Callable[[A], B] | Callable[[A, AnyContext], B]"
    Wide: TypeAlias = (
        "type[Any] | Callable[[Any, Any], Any] | Callable[[Any, Any, Any], Any] | Callable[[Any, Any, Any, Any], Any]"
    )

    class Passing(Protocol[In]):
        """A stage that lets the value go on: `tap`."""

        def __ceylon_passes__(self, value: In) -> None: ...

    class Gathering(Protocol):
        """A stage that makes a list of what has items: `gather`."""

        def __ceylon_gathers__(self) -> None: ...

    class Composable(Generic[In, Out]):
        """What the class below is to type checkers: something that takes *In* and gives *Out*."""

        @overload
        def __rshift__(self, other: Passing[Out]) -> Pipeline[In, Out]: ...
        @overload
        def __rshift__(self: "Composable[A, Iterable[T]]", other: Gathering) -> Pipeline[A, list[T]]: ...
        @overload
        def __rshift__(self, other: Awaited[Out, B]) -> Pipeline[In, B]: ...
        @overload
        def __rshift__(self, other: Yields[Out, B]) -> Pipeline[In, list[B]]: ...
        @overload
        def __rshift__(self, other: Plain[Out, B]) -> Pipeline[In, B]: ...
        @overload  # from here on: a flow is iterated, whatever gives it
        def __rshift__(self: "Composable[A, Iterable[T]]", other: Awaited[AsyncIterator[T], B]) -> Pipeline[A, B]: ...
        @overload
        def __rshift__(
            self: "Composable[A, Iterable[T]]", other: Yields[AsyncIterator[T], B]
        ) -> Pipeline[A, list[B]]: ...
        @overload
        def __rshift__(self: "Composable[A, Iterable[T]]", other: Plain[Iterator[T], B]) -> Pipeline[A, B]: ...
        @overload  # an action that takes its arguments from a mapping
        def __rshift__(self, other: Wide) -> Pipeline[In, Any]: ...
        def __rshift__(self, other: Any) -> Any: ...

        @overload
        def __rrshift__(self, other: Awaited[A, In]) -> Pipeline[A, Out]: ...
        @overload
        def __rrshift__(self: "Composable[list[T], B]", other: Yields[A, T]) -> Pipeline[A, B]: ...
        @overload
        def __rrshift__(self, other: Plain[A, In]) -> Pipeline[A, Out]: ...
        @overload
        def __rrshift__(self, other: Wide) -> Pipeline[Any, Out]: ...
        def __rrshift__(self, other: Any) -> Any: ...

else:

    class Composable:
        """Something that can be a stage of a pipeline: ``a >> b`` gives what *a* returns to *b*."""

        __slots__ = ()

        def __rshift__(self, other: Any) -> "Pipeline":
            return _join(self, other)

        def __rrshift__(self, other: Any) -> "Pipeline":
            return _join(other, self)


if TYPE_CHECKING:

    class Sides(Generic[In, Out]):
        """What takes *In* and gives *Out*."""

    class Composed(Composable[In, Out]):
        """Something composable of which it is known what it takes and gives."""

else:

    class Sides(Generic[In, Out]):
        """What takes *In* and gives *Out*."""

        __slots__ = ()

        def __class_getitem__(cls, given: Any) -> Any:
            """Let what is not given be `Any`, as type checkers do."""
            given = given if isinstance(given, tuple) else (given,)
            missing = len(cls.__parameters__) - len(given) if given else 0
            return super().__class_getitem__((*given, *[Any] * missing))

    class Composed(Composable, Sides[In, Out]):
        """Something composable of which it is known what it takes and gives."""

        __slots__ = ()


def _join(first: Any, second: Any) -> "Pipeline":
    made: Pipeline = importlib.import_module(_BUILDING).pipeline(first, second)
    return made
