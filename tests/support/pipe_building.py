"""Pipelines at random as the library builds them: of functions, agents, actions, generators and other pipelines."""

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import anyio
import anyio.lowlevel

from ceylon import Agent, Context, Mesh, action
from ceylon.pipelines import (
    Pipeline,
    branch,
    call,
    each,
    fallback,
    gather,
    loop,
    parallel,
    pipeline,
    race,
    reduce,
    retry,
    tap,
    timeout,
)
from support.pipe_meaning import does_not_fold, is_enough, is_fed_by_token, pieces
from support.pipe_shapes import (
    Branch,
    Each,
    Fallback,
    Flaky,
    Gather,
    Generate,
    InSequence,
    Leaf,
    Loop,
    Parallel,
    Race,
    Reduce,
    Retry,
    Shape,
    Take,
    Tap,
    Timeout,
)
from support.pipe_values import BadError, apply, error_of, fold, token_of, weight

__all__ = ["Kit", "Span", "Worker"]

Watch = Callable[[int], "Watched"]


class Watched:
    """What is told when a leaf begins and ends; this one keeps nothing."""

    def __enter__(self) -> None: ...

    def __exit__(self, *failure: object) -> None: ...


class Span(Watched):
    """One run of a leaf: when it began, when it ended, and how."""

    def __init__(self, number: int, spans: "list[Span]") -> None:
        self.number, self.how = number, "runs"
        self.began = self.ended = 0.0
        self._spans = spans

    def __enter__(self) -> None:
        self.began = anyio.current_time()
        self._spans.append(self)

    def __exit__(self, *failure: object) -> None:
        self.ended = anyio.current_time()
        error = failure[1]
        is_failure = isinstance(error, Exception) and not isinstance(error, anyio.get_cancelled_exc_class())
        self.how = "ended" if error is None else "failed" if is_failure else "cancelled"

    def __repr__(self) -> str:
        return f"{self.number}: {self.began:.6f} – {self.ended:.6f} {self.how}"


def _unwatched(number: int) -> Watched:
    return Watched()


class Worker(Agent):
    """Does what a leaf does, as an agent and as its action."""

    concurrency = 64

    def __init__(self, name: str, work: Callable[[Any], Awaitable[Any]]) -> None:
        super().__init__(name)
        self._work = work

    async def on_message(self, message: Any, context: Context) -> Any:
        return await self._work(message)

    @action
    async def work(self, value: Any) -> Any:
        """Do it."""
        return await self._work(value)


class Narrator(Agent):
    """Does what a generator does, as an agent whose handler is one."""

    concurrency = 64

    def __init__(self, name: str, generate: Callable[[Any], AsyncIterator[Any]]) -> None:
        super().__init__(name)
        self._generate = generate

    async def on_message(self, message: Any) -> AsyncIterator[Any]:
        async with contextlib.aclosing(self._generate(message)) as items:  # type: ignore[type-var]
            async for item in items:
                yield item


class Kit:
    """Builds pipelines from shapes, each function and each agent once, so that equal shapes give equal pipelines."""

    def __init__(self, mesh: Mesh | None = None, watch: Watch = _unwatched, *, threads: bool = True) -> None:
        self._mesh = mesh
        self._watch = watch
        self._threads = threads
        self._is_nesting = mesh is not None and not threads
        self._made: dict[tuple[int, str], Any] = {}

    def build(self, shape: Shape) -> Pipeline:
        """Return the pipeline that *shape* describes."""
        made = self.stage(shape)
        return made if isinstance(made, Pipeline) else pipeline(made)

    def stage(self, shape: Shape) -> Any:
        """Return what can stand in a pipeline for *shape*."""
        return _BUILDERS[type(shape)](self, shape)

    def stages(self, shapes: list[Shape]) -> list[Any]:
        """Return one for each."""
        return [self.stage(each) for each in shapes]

    def once(self, shape: Shape, what: str, make: Callable[[], Any]) -> Any:
        """Return what was made for this piece of a pipeline already, or make it."""
        key = (shape.number, what)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def named(self, shape: Shape, function: Callable[..., Any]) -> Any:
        """Give a function of *shape* its name."""
        function.__name__ = function.__qualname__ = f"{type(shape).__name__.lower()}_{shape.number}"
        return self.once(shape, "function", lambda: function)

    def helper(self, shape: Shape, function: Callable[..., Any]) -> Any:
        """Return a small function of *shape*, one of the loop where no threads are wanted."""
        if self._threads:
            return self.named(shape, function)

        async def on_the_loop(*arguments: Any) -> Any:
            return function(*arguments)

        return self.named(shape, on_the_loop)

    def leaf(self, shape: Leaf) -> Any:
        """Return a leaf in the way that it wants; in no mesh there are no agents."""
        work = functools.partial(_work, shape, self._watch)
        way = shape.way if self._mesh is not None or shape.way in {"async", "sync", "context"} else "async"
        if way in {"async", "sync", "context"}:
            return self.named(shape, _FUNCTIONS[way](shape, work))
        worker = self.once(shape, "worker", lambda: Worker(f"worker-{shape.number}", work))
        if way == "agent":
            return worker
        assert self._mesh is not None
        ref = self.once(shape, "ref", functools.partial(self._mesh.add, worker))
        ways: dict[str, Callable[[], Any]] = {
            "ref": lambda: ref,
            "action": lambda: worker.work,
            "call": lambda: call(ref, "work"),
        }
        return ways[way]()

    def narrator(self, shape: Generate, generate: Callable[[Any], AsyncIterator[Any]]) -> Any:
        """Return a generator as an agent; in no mesh there are none."""
        mesh = self._mesh
        if mesh is None:
            return self.named(shape, generate)
        narrator = self.once(shape, "narrator", lambda: Narrator(f"narrator-{shape.number}", generate))
        return narrator if shape.way == "agent" else self.once(shape, "ref", lambda: mesh.add(narrator))

    def nested(self, shape: Shape, made: Pipeline) -> Any:
        """Return a pipeline that has a name as it is, or, under simulation, now and then as an agent of its own."""
        if not self._is_nesting or self._mesh is None or shape.number % 2:
            return made
        name = f"inner-{shape.number}"
        return self.once(shape, "agent", functools.partial(self._mesh.add, made.named(name)))

    def watch(self, shape: Shape) -> Watched:
        """Return what is told of a run of *shape*."""
        return self._watch(shape.number)


async def _work(shape: Leaf, watch: Watch, value: Any) -> Any:
    with watch(shape.number):
        await anyio.sleep(shape.seconds)
        return _do(shape, value)


def _do(shape: Leaf, value: Any) -> Any:
    if shape.fails_on(weight(value)):
        raise error_of(shape.kind, shape.number)
    return apply(shape.effect, value)


def _async_function(shape: Leaf, work: Callable[[Any], Awaitable[Any]]) -> Callable[..., Any]:
    async def function(value: Any) -> Any:
        return await work(value)

    return function


def _sync_function(shape: Leaf, work: Callable[[Any], Awaitable[Any]]) -> Callable[..., Any]:
    def function(value: Any) -> Any:
        return _do(shape, value)

    return function


def _function_with_context(shape: Leaf, work: Callable[[Any], Awaitable[Any]]) -> Callable[..., Any]:
    async def function(value: Any, context: Context) -> Any:
        assert isinstance(context, Context)
        return await work(value)

    return function


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "async": _async_function,
    "sync": _sync_function,
    "context": _function_with_context,
}


def _flaky(kit: Kit, shape: Flaky) -> Any:
    async def function(token: Any) -> Any:
        with kit.watch(shape):
            await anyio.sleep(shape.seconds)
            token.tries += 1
            if token.tries <= shape.failures:
                raise error_of(shape.kind, shape.number)
            return [token.value, token.tries]

    return kit.named(shape, function)


def _generate(kit: Kit, shape: Generate) -> Any:
    async def generate(value: Any) -> AsyncIterator[Any]:
        for place, piece in enumerate(pieces(value)):
            if shape.pause:
                await anyio.sleep(shape.pause)
            if place == shape.fails_at:
                raise BadError(shape.number)
            yield piece

    def generate_in_a_thread(value: Any) -> Iterator[Any]:
        for place, piece in enumerate(pieces(value)):
            if place == shape.fails_at:
                raise BadError(shape.number)
            yield piece

    if shape.way == "sync":
        return kit.named(shape, generate_in_a_thread)
    return kit.narrator(shape, generate) if shape.way in {"agent", "ref"} else kit.named(shape, generate)


def _take(kit: Kit, shape: Take) -> Any:
    async def take(items: AsyncIterator[Any]) -> int:
        summed = 1
        async for item in items:
            summed = fold(summed, item)
        return summed

    async def pass_on(items: AsyncIterator[Any]) -> AsyncIterator[int]:
        async for item in items:
            yield weight(item)

    return kit.named(shape, pass_on if shape.lets_through else take)


def _sequence(kit: Kit, shape: InSequence) -> Any:
    stages = kit.stages(shape.steps)
    made = pipeline(stages[0], name=shape.name) if shape.by_arrows else pipeline(*stages, name=shape.name)
    if shape.by_arrows:
        for stage in stages[1:]:
            made >>= stage
        made = made.named(shape.name) if shape.name is not None else made
    return made if shape.name is None else kit.nested(shape, made)


def _parallel(kit: Kit, shape: Parallel) -> Pipeline:
    stages = kit.stages(shape.branches)
    if shape.names is None:
        return parallel(*stages, on_failure=shape.on_failure)
    return parallel(on_failure=shape.on_failure, **dict(zip(shape.names, stages, strict=True)))


def _branch(kit: Kit, shape: Branch) -> Pipeline:
    def by(value: Any) -> int:
        return weight(value) % shape.modulus

    cases = dict(enumerate(kit.stages(shape.cases)))
    default = None if shape.default is None else kit.stage(shape.default)
    return branch(kit.helper(shape, by), cases, default=default)


def _loop(kit: Kit, shape: Loop) -> Pipeline:
    def until(value: Any) -> bool:
        return is_enough(shape, value)

    step, is_done = kit.stage(shape.step), None if shape.until is None else kit.helper(shape, until)
    return loop(step, at_most=shape.at_most, until=is_done, at_limit=shape.at_limit)


def _each(kit: Kit, shape: Each) -> Pipeline:
    return each(kit.stage(shape.step), shape.concurrency, ordered=shape.ordered, on_failure=shape.on_failure)


def _reduce(kit: Kit, shape: Reduce) -> Pipeline:
    def function(accumulated: int, item: Any) -> int:
        if does_not_fold(shape, item):
            raise BadError(shape.number)
        return fold(accumulated, item)

    async def function_on_the_loop(accumulated: int, item: Any) -> int:
        await anyio.lowlevel.checkpoint()
        return function(accumulated, item)

    return reduce(
        kit.helper(shape, function) if shape.is_sync else kit.named(shape, function_on_the_loop), shape.initial
    )


def _retry(kit: Kit, shape: Retry) -> Pipeline:
    on = BadError if shape.only_bad else Exception
    again = retry(kit.stage(shape.step), times=shape.times, on=on, pause=shape.pause, jitter=0)
    return pipeline(token_of, again) if is_fed_by_token(shape) else again


def _fallback(kit: Kit, shape: Fallback) -> Pipeline:
    return fallback(*kit.stages(shape.choices), on=BadError if shape.only_bad else Exception)


_BUILDERS: Final[dict[type[Shape], Callable[[Kit, Any], Any]]] = {
    Leaf: Kit.leaf,
    Flaky: _flaky,
    Generate: _generate,
    Take: _take,
    InSequence: _sequence,
    Parallel: _parallel,
    Branch: _branch,
    Race: lambda kit, shape: race(*kit.stages(shape.runners)),
    Loop: _loop,
    Each: _each,
    Gather: lambda kit, shape: gather(),
    Reduce: _reduce,
    Retry: _retry,
    Fallback: _fallback,
    Timeout: lambda kit, shape: timeout(kit.stage(shape.step), shape.seconds),
    Tap: lambda kit, shape: tap(kit.stage(shape.step)),
}
