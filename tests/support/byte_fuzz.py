"""Throw bytes at whatever reads what comes from outside, and watch what Python does meanwhile; also a program:

python tests/support/byte_fuzz.py --target events --inputs 1000
python tests/support/byte_fuzz.py --target answers --seconds 60      # guided by coverage, where atheris is installed

An input may raise the errors declared for it and no other, and while it is read nothing may be imported, compiled, run,
opened or connected to.
"""

import argparse
import asyncio
import contextlib
import importlib
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":  # as a program it has only its own directory on the path
    sys.path.insert(0, str(Path(__file__).parents[1]))
    if "--guided" in sys.argv:  # what is to guide it has to be loaded with eyes open
        with importlib.import_module("atheris").instrument_imports(include=["ceylon.models", "ceylon.testing"]):
            importlib.import_module("ceylon.testing")
            importlib.import_module("ceylon.models.resolve")

from ceylon.errors import ModelError
from ceylon.models.arguments import call_of_text
from ceylon.models.http import HttpClient
from ceylon.models.lines import EventParser, LineParser
from ceylon.models.resolve import resolve
from ceylon.models.turns import Request, ToolCall, Turn
from ceylon.testing.cassette import Cassette
from ceylon.testing.saying import Said
from support.dialects import ALL, answer_pieces
from support.services import Bytes

__all__ = ["SEEDS", "TARGETS", "Watch", "mutated", "throw"]

FORBIDDEN: Final = frozenset(
    {"import", "exec", "compile", "os.system", "subprocess.Popen", "open", "pickle.find_class", "socket.connect"}
)
_REQUEST: Final = Request(turns=(Turn("user", "hi"),), timeout=5.0)


class Watch:
    """Counts what Python does that no input may make it do; only while it is armed."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._is_armed = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: Any) -> None:
        if self._is_armed and event in FORBIDDEN:
            self.seen.append(f"{event} {str(arguments)[:80]}")

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Watch until the block ends."""
        self._is_armed = True
        try:
            yield
        finally:
            self._is_armed = False


# -- what is read ------------------------------------------------------------------------------------------------------


def _events(content: bytes) -> None:
    parser = EventParser(max_event=1 << 20, max_events=10_000)
    cut = len(content) // 2
    for piece in (content[:cut], content[cut:]):
        list(parser.feed(piece))


def _lines(content: bytes) -> None:
    parser = LineParser(max_line=1 << 20, max_lines=10_000)
    for place in range(0, len(content), 64):
        list(parser.feed(content[place : place + 64]))


class _Answers:
    """The sessions of all dialects, each asked whole and streamed, over a transport that has the input."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._pairs: list[tuple[Bytes, Any, bool]] = []

    def __call__(self, content: bytes) -> None:
        """Let every session read *content*."""
        for transport, session, is_streamed in self._pairs or self._open():
            transport.pieces = [content]
            with contextlib.suppress(ModelError):
                self._runner.run(self._ask(session, is_streamed=is_streamed))

    async def _ask(self, session: Any, *, is_streamed: bool) -> None:
        if not is_streamed:
            await session.complete(_REQUEST)
            return
        async for _ in session.stream(_REQUEST):
            pass

    def _open(self) -> list[tuple[Bytes, Any, bool]]:
        for name, dialect in ALL.items():
            for is_streamed in (False, True):
                transport = Bytes(dialect.stream_type if is_streamed else "application/json", [])
                url = "http://box/v1" if name.startswith("openai") else "http://box"
                model = resolve(f"{name}::m", base_url=url, api_key="sk-none")
                session = self._runner.run(_session(model, transport))
                self._pairs.append((transport, session, is_streamed))
        return self._pairs


async def _session(model: Any, transport: Bytes) -> Any:
    return await model.open(HttpClient(transport=transport))


def _arguments(content: bytes) -> None:
    call_of_text("id", "name", content.decode(errors="replace"))


def _model_string(content: bytes) -> None:
    resolve(content.decode(errors="replace")).name  # noqa: B018 – reading it is what may fail


def _cassette(content: bytes) -> None:
    Cassette.parse(content, Path("tea.cassette"))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "events": _events,
    "lines": _lines,
    "answers": _Answers(),
    "arguments": _arguments,
    "model": _model_string,
    "cassette": _cassette,
}
DECLARED: Final = (ModelError,)

# -- inputs ------------------------------------------------------------------------------------------------------------

_SAID: Final = Said(text="é \U0001f600", thinking="hm", calls=(ToolCall("a", "pay", {"amount": 1}),))
_GADGETS: Final = (
    {"type": "os.system", "args": ["id"]},
    {"lc": 1, "type": "constructor", "id": ["os", "system"]},
    {"py/object": "os.system", "py/reduce": [{"py/type": "subprocess.Popen"}, {"py/tuple": [["id"]]}]},
    {"__class__": "builtins.eval", "__reduce__": ["exec", "1"]},
    {"!!python/object/apply:os.system": ["id"]},
    {"tag": "ceylon.core.mesh.Mesh"},
)
_ODD: Final = (
    *(
        b"",
        b"null",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 5_000,
        b"1e400",
        b"NaN",
        b"-Infinity",
    ),
    *(
        b'{"a":1,"a":2}',
        b'"\\ud800"',
        b"data: {}\r\rdata: x\n\n",
        b"\xc7\x00\x00",
        b"\xdf\xff\xff\xff\xff",
        b"retry: 9e99\n\n",
    ),
    *(
        b"cassette: 1\nexchanges:\n  - model: m\n    verb: complete\n    request: {}\n",
        b"- - - -",
        b"!!python/object:os.system x",
    ),
    *(b"openai::gpt", b"local::../../etc/passwd", b"a" * 9_000, b"-9223372036854775809", b"18446744073709551616"),
)
SEEDS: Final = (
    *_ODD,
    *(json.dumps(gadget).encode() for gadget in _GADGETS),
    *(b"data: " + json.dumps(gadget).encode() + b"\n\n" for gadget in _GADGETS),
    *(b"".join(answer_pieces(name, _SAID, is_streamed=is_streamed)) for name in ALL for is_streamed in (False, True)),
)


def mutated(chance: random.Random) -> bytes:
    """Return one of the seeds, changed."""
    content = bytearray(chance.choice(SEEDS)[: chance.choice([200, 4_000, 1 << 20])])
    for _ in range(chance.randint(0, 6)):
        place = chance.randrange(len(content) + 1)
        match chance.randrange(4):
            case 0:
                content[place : place + chance.randrange(9)] = b""
            case 1:
                content[place:place] = chance.choice(SEEDS)[:300]
            case 2:
                content[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(6)))
            case _:
                content[place : place + 1] = chance.choice([b'"', b"{", b"}", b":", b"\n", b"\\", b"0", b"\x00"])
    return bytes(content)


def throw(target: Callable[[bytes], None], content: bytes) -> float:
    """Let *target* read *content*; return the seconds it took.

    Raises:
        Exception: any that is not declared.
    """
    began = time.perf_counter()
    with contextlib.suppress(*DECLARED):
        target(content)
    return time.perf_counter() - began


# -- as a program ------------------------------------------------------------------------------------------------------


def _compile(content: bytes) -> None:
    """Do what no reader may do."""
    compile(repr(content), "x", "eval")


def _run(name: str, target: Callable[[bytes], None], inputs: int, seconds: float) -> bool:
    """Throw at one target; print the figures, and return whether all is well."""
    watch, chance = Watch(), random.Random(name)  # noqa: S311 – repeatable is the point
    for seed in SEEDS:
        throw(target, seed)  # what is loaded late is loaded now
    ends, count, slowest = time.monotonic() + seconds, 0, 0.0
    with watch.armed():
        while count < inputs or time.monotonic() < ends:
            slowest, count = max(slowest, throw(target, mutated(chance))), count + 1
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name}: {count} inputs, slowest {slowest * 1000:.0f} ms, {most} MiB, forbidden events {len(watch.seen)}")  # noqa: T201 – its output
    for event in watch.seen[:5]:
        print(f"  {event}")  # noqa: T201 – as above
    return not watch.seen


def _guided(target: Callable[[bytes], None], seconds: float) -> None:
    """Let atheris find the inputs; it ends the process, with an error if one raises or a forbidden thing happens."""
    atheris: Any = importlib.import_module("atheris")
    watch = Watch()
    for seed in SEEDS:
        throw(target, seed)

    def one(content: bytes) -> None:
        with watch.armed():
            throw(target, content)
        if watch.seen:
            raise AssertionError(watch.seen)

    atheris.Setup(
        [sys.argv[0], f"-max_total_time={seconds:.0f}", "-max_len=8192", "-rss_limit_mb=512", "-timeout=10"], one
    )
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=[*TARGETS, "sabotage"], action="append")
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--guided", action="store_true", help="let atheris find the inputs; one target")
    options = parser.parse_args(arguments)
    targets = {**TARGETS, "sabotage": _compile}
    names = options.target or list(TARGETS)
    if options.guided:
        _guided(targets[names[0]], options.seconds)
    outcomes = [_run(name, targets[name], options.inputs, options.seconds) for name in names]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
