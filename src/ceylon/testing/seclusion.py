"""Keep a test off the network and away from real models."""

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from ceylon.models.scripted import ScriptError
from ceylon.models.stand_ins import gates, is_real, stand_ins

if TYPE_CHECKING:
    from ceylon.models.port import Model

__all__ = ["BlockedModelError", "ModelBlock", "block_models", "no_network"]

_ADVICE: Final = (
    "`block_models()` is in force; use `agent.override(model=ScriptedModel([...]))` or replay a cassette "
    "(`ceylon.testing.record`), or leave this test out of the block"
)
_LOCAL_FAMILIES: Final = frozenset({getattr(socket, "AF_UNIX", None)} - {None})


class BlockedModelError(ScriptError):
    """A real model was about to be used where none may be."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is real; {_ADVICE}")
        self.what = what


class ModelBlock:
    """Real models are refused from now on, by every agent of the process, until `lift` or the end of a block."""

    def __init__(self) -> None:
        stand_ins.append(self._refuse)
        gates.append(self._refuse_address)

    def _refuse(self, model: "Model") -> "Model":
        if is_real(model):
            raise BlockedModelError(model.name)
        return model

    def _refuse_address(self, address: str) -> NoReturn:
        what = f"the model server at {address}"
        raise BlockedModelError(what)

    def lift(self) -> None:
        """Let real models be used again; once or more often."""
        with contextlib.suppress(ValueError):
            stand_ins.remove(self._refuse)
            gates.remove(self._refuse_address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lift()


def block_models() -> ModelBlock:
    """Refuse every real model from now on: called once for a whole test run, or as a context manager.

    `ScriptedModel`, and what a cassette replays, go on working. An agent that is asked raises `BlockedModelError`.
    """
    return ModelBlock()


@contextlib.contextmanager
def no_network(refusal: Callable[[str], Exception]) -> Generator[None]:
    """Let every attempt to connect raise ``refusal(what)``, in all threads and on every loop, until the block ends.

    Sockets of Python's own are caught where they connect or look up a name, model servers also before that: uvloop
    connects without Python. Sockets that are files, and connections that are open already, are left alone.
    """

    def refuse(address: str) -> NoReturn:
        what = f"a request to {address}"
        raise refusal(what)

    gates.append(refuse)
    try:
        with _patched(refusal):
            yield
    finally:
        gates.remove(refuse)


@contextlib.contextmanager
def _patched(refusal: Callable[[str], Exception]) -> Generator[None]:
    """Replace what the standard library connects and looks up names with."""
    look_up = socket.getaddrinfo

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, *arguments: Any) -> Any:
            if self.family not in _LOCAL_FAMILIES:
                what = f"a socket to {arguments[-1]!r}"
                raise refusal(what)
            return original(self, *arguments)

        return connect

    def look_up_numbers(host: Any, *arguments: Any, **options: Any) -> Any:
        if not _is_number(host):
            what = f"a look-up of {host!r}"
            raise refusal(what)
        return look_up(host, *arguments, **options)

    with contextlib.ExitStack() as patches:
        for name in ("connect", "connect_ex", "sendto"):
            patches.enter_context(_attribute(socket.socket, name, guarded(getattr(socket.socket, name))))
        patches.enter_context(_attribute(socket, "getaddrinfo", look_up_numbers))
        yield


def _is_number(host: Any) -> bool:
    """Say whether *host* is an address already, so that nobody has to be asked for it."""
    if host is None:
        return True
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _attribute(owner: Any, name: str, value: Any) -> Generator[None]:
    """Set an attribute for a while; one that was inherited is inherited again afterwards."""
    is_inherited, before = name not in vars(owner), getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
