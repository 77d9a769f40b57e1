"""`record`: keep what models say and embed, and what agents read of clock and chance; the next time, say it again."""

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, Self, TypeAlias, TypeVar, cast

from ceylon.core.instruments import observers
from ceylon.memory.sources import memory_sources
from ceylon.models.stand_ins import Listener, embedder_stand_ins, stand_ins
from ceylon.testing.cassette import Cassette, CassetteError
from ceylon.testing.masking import Masking
from ceylon.testing.player import Player
from ceylon.testing.seclusion import no_network
from ceylon.testing.simulation.simulation import is_simulated
from ceylon.testing.tape import KeptSources, Meshes, RepeatedSources, TapedMemories
from ceylon.testing.taped_embedders import RecordedEmbedder, ReplayedEmbedder
from ceylon.testing.taped_models import RecordedModel, ReplayedModel
from ceylon.testing.writer import Writer

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.models.embedding import Embedder
    from ceylon.models.port import Model
    from ceylon.models.stand_ins import OutermostEmbedder

__all__ = ["Mode", "Recording", "record"]

Mode: TypeAlias = Literal["auto", "record", "replay"]
"""``"auto"`` replays a file that is there and records one that is not; see `record` for `$CEYLON_RECORD`."""

VARIABLE: Final = "CEYLON_RECORD"

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_playing: Final[list["Recording"]] = []  # at most one: two would each want every exchange


def record(
    path: str | Path,
    *,
    mode: Mode = "auto",
    secrets: Iterable[str] = (),
    allow_unused: bool = False,
    timed: bool | None = None,
) -> "Recording":
    """Record what happens in a block, or in a function, into the file *path*; if that is there, replay it.

    ``with record("tests/cassettes/tea.cassette"):`` or ``@record("…")`` over a test, sync or async. All agents of the
    process take part. A replay needs no key and uses no network: connecting is an error, and so is a request that
    was not recorded. Requests may come in another order than they did.

    Args:
        path: The file, ``….cassette`` by custom; directories are made. It is written when the block has ended well.
        mode: ``"record"`` always records, ``"replay"`` never does. ``"auto"`` does what is needed, unless
            `$CEYLON_RECORD` is set: with ``1`` it records anew, with ``0`` it never records.
        secrets: Texts that must not be in the file, beside the keys that are known and whatever looks like one.
        allow_unused: Whether a replay may end although recorded requests are left.
        timed: Whether an answer takes as long in a replay as it did when it was recorded, so that timers and deadlines
            see the same. By default only in a simulation, where that costs no time.

    Raises:
        CassetteError: nothing to replay, a request that differs, one never made, or a socket; the last are raised
            where they happen and again at the block's end, in case somebody has swallowed them.
    """
    return Recording(Path(path), mode, tuple(secrets), allow_unused=allow_unused, timed=timed)


class Recording:
    """A block, or decorator, in which one cassette is filled or played; `is_replay` tells which, inside of it."""

    def __init__(
        self, path: Path, mode: Mode, secrets: tuple[str, ...], *, allow_unused: bool, timed: bool | None
    ) -> None:
        if mode not in {"auto", "record", "replay"}:
            sentence = f"mode={mode!r} cannot be; it takes 'auto', 'record' or 'replay'"
            raise ValueError(sentence)
        self.path, self.is_replay = path, False
        self._mode: Mode = mode
        self._secrets, self._allows_unused, self._timed = secrets, allow_unused, timed
        self._taped: dict[int, Model] = {}
        self._meshes = Meshes()
        self._tape: Writer | Player | None = None
        self._stack = ExitStack()
        self._is_abandoned = False

    @property
    def cassette(self) -> Cassette:
        """What has been recorded so far, or is replayed; inside the block, and after it."""
        if self._tape is None:
            sentence = f"{self.path} is not in use yet; use it in a `with` block"
            raise CassetteError(sentence)
        return self._tape.cassette

    def abandon(self) -> None:
        """Neither write the file nor judge the replay at the end: what happened is a failure by other standards."""
        self._is_abandoned = True

    def __enter__(self) -> Self:
        if _playing:
            sentence = f"{_playing[0].path} is in use; one cassette at a time, {self.path} has to wait"
            raise CassetteError(sentence)
        self.is_replay = self._is_to_replay()
        masking = Masking(self._secrets)
        if self.is_replay:
            is_timed = is_simulated.get() if self._timed is None else self._timed
            player = self._tape = Player(Cassette.load(self.path), self.path, masking, is_timed=is_timed)
            self._stack.enter_context(no_network(player.refuse))
        else:
            self._tape = Writer(masking)
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._is_abandoned:
            return
        if isinstance(self._tape, Player):
            self._judge(self._tape, error)
        elif self._tape is not None and error is None:
            self._tape.finish()
            self._tape.cassette.save(self.path)

    def __call__(self, function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        """Return *function* with every call of it inside a block like this one."""
        if not inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            def run(*arguments: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
                with self._again():
                    return function(*arguments, **options)

            return run

        @functools.wraps(function)
        async def run_async(*arguments: _Parameters.args, **options: _Parameters.kwargs) -> Any:
            with self._again():
                return await function(*arguments, **options)

        return cast("Callable[_Parameters, _Result]", run_async)

    def __repr__(self) -> str:
        doing = "unused" if self._tape is None else "replaying" if self.is_replay else "recording"
        return f"<Recording {str(self.path)!r} {doing}>"

    def _again(self) -> "Recording":
        return Recording(self.path, self._mode, self._secrets, allow_unused=self._allows_unused, timed=self._timed)

    def _is_to_replay(self) -> bool:
        said = os.environ.get(VARIABLE, "").strip()
        if self._mode != "auto":
            return self._mode == "replay"
        if said not in {"", "0", "1"}:
            sentence = f"${VARIABLE} is {said!r}; it can be 1, to record, or 0, never to record"
            raise CassetteError(sentence)
        return said == "0" or (not said and self.path.exists())

    def _begin(self) -> None:
        """Stand in for models and sources until the stack is closed."""
        _playing.append(self)
        self._stack.callback(_playing.remove, self)
        listener = Listener(self._stand_in)
        stand_ins.insert(0, listener)  # in front of `block_models`: what is replayed is not real
        self._stack.callback(stand_ins.remove, listener)
        embedder_stand_ins.insert(0, self._stand_around)
        self._stack.callback(embedder_stand_ins.remove, self._stand_around)
        observers.append(self._observe)
        self._stack.callback(observers.remove, self._observe)
        assert self._tape is not None  # noqa: S101 – the block has begun
        memories = TapedMemories(self.path.name, self._tape)
        memory_sources.insert(0, memories)
        self._stack.callback(memory_sources.remove, memories)

    def _stand_in(self, model: "Model") -> "Model":
        taped = self._taped.get(id(model))
        if taped is None:
            tape = self._tape
            made: Model = (
                ReplayedModel(model, tape) if isinstance(tape, Player) else RecordedModel(model, self._writer())
            )
            taped = self._taped.setdefault(id(model), made)
        return taped

    def _stand_around(self, embedder: "Embedder") -> "OutermostEmbedder":
        if isinstance(self._tape, Player):
            return ReplayedEmbedder(embedder, self._tape)
        return RecordedEmbedder(embedder, self._writer())

    def _observe(self, interior: "Interior") -> None:
        """Have the mesh read through the cassette, from its opening on."""
        name = self._meshes.name(interior.name)
        self._stack.callback(interior.read_from, interior.sources)  # the default mesh, and others, live longer
        if isinstance(self._tape, Player):
            interior.read_from(RepeatedSources(name, self._tape))
        else:
            interior.read_from(KeptSources(name, self._writer(), interior.sources))

    def _writer(self) -> Writer:
        assert isinstance(self._tape, Writer)  # noqa: S101 – it is no player, and the block has begun
        return self._tape

    def _judge(self, player: Player, error: BaseException | None) -> None:
        """Raise what has gone wrong with the replay, unless it is on its way out already."""
        if player.failure is not None and not isinstance(error, CassetteError):
            raise player.failure from error
        if error is None and not self._allows_unused:
            player.check_used()
