"""How a contract is put: promises that are tried one after the other, and told of together."""

from collections.abc import Awaitable, Callable, Iterable

__all__ = ["keep_all", "require", "require_type"]


def require(condition: object, sentence: str) -> None:
    """Say that a promise is broken unless *condition* holds.

    Raises:
        AssertionError: it does not.
    """
    if not condition:
        raise AssertionError(sentence)


def require_type(value: object, kind: type | tuple[type, ...], what: str) -> None:
    """Say that a promise is broken unless *value* is of this type, whatever the types of the port say.

    Raises:
        AssertionError: it is not.
    """
    names = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
    require(isinstance(value, kind), f"{what} is no {names} but {value!r}")


async def keep_all(subject: str, promises: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Try every promise of *subject*; the name of its function says what it is.

    Raises:
        AssertionError: some are broken; each is named, with what went wrong.
    """
    broken: list[str] = []
    for promise in promises:
        try:
            await promise()
        except Exception as error:  # noqa: BLE001 – an adapter may fail in any way; each is a broken promise
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            broken.append(f"  {promise.__name__.strip('_').replace('_', ' ')}: {kind}{error}")
    if broken:
        raise AssertionError("\n".join([f"{subject} breaks its contract:", *broken]))
