"""Keep a test off the network and away from real models."""

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
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
_UVLOOP_METHODS: Final = ("create_connection", "create_datagram_endpoint", "getaddrinfo", "sock_connect", "sock_sendto")
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

    Sockets of Python's own are caught where they connect or look up a name; those of uvloop, which connects without
    Python, at the methods of its loops; model servers also before that. Sockets that are files, and connections that
    are open already, are left alone.
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
        patches.enter_context(_patched_uvloop(refusal))
        yield


@contextlib.contextmanager
def _patched_uvloop(refusal: Callable[[str], Exception]) -> Generator[None]:
    """Replace what uvloop's loops connect and look up names with, if anybody has loaded it."""
    kind: Any = getattr(sys.modules.get("uvloop"), "Loop", None)
    if kind is None:
        yield
        return

    def guarded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def reach(self: Any, *arguments: Any, **options: Any) -> Any:
            target = _target(name, arguments, options)
            if target is not None:
                what = f"a look-up of {target!r}" if name == "getaddrinfo" else f"a socket to {target!r}"
                raise refusal(what)
            return original(self, *arguments, **options)

        return reach

    with contextlib.ExitStack() as patches:
        for name in _UVLOOP_METHODS:
            patches.enter_context(_attribute(kind, name, guarded(name, getattr(kind, name))))
        yield


def _target(method: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Return what outside of this machine a call of a loop's *method* would reach; `None`: nothing."""
    if method == "create_connection":  # one that has a socket already was caught where that was connected
        return arguments[1] if len(arguments) > 1 else options.get("host")
    if method == "create_datagram_endpoint":
        is_local = options.get("sock") is not None or options.get("family") in _LOCAL_FAMILIES
        return None if is_local else options.get("remote_addr") or "anybody, as datagrams"
    if method == "getaddrinfo":
        host = arguments[0] if arguments else options.get("host")
        return None if _is_number(host) else host
    return None if arguments[0].family in _LOCAL_FAMILIES else arguments[-1]


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
