"""Every public name of `ceylonai-next` is here and called the same way, as its packages say of themselves.

`names_0_3_6.json` comes from the stub of 0.3.6, `names_0_1_2.json` from 0.1.2 itself, which has no stub; both are made
by `support.stub_names`.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

import ceylon.compat
from support.stub_names import Names, parameters_of, parameters_of_text, stub_names

HERE: Final = Path(__file__).parent
STUB: Final[Names] = json.loads((HERE / "names_0_3_6.json").read_text())
EARLIER: Final[Names] = json.loads((HERE / "names_0_1_2.json").read_text())

OTHERWISE: Final = {
    "LlmAgent.__init__": "0.3.6 calls it otherwise",
    "LocalMesh.__new__": "the name may be left out, as the documentation does",
    "PyAgent.__new__": "its one parameter is not named",
}
"""Of 0.1.2: what is called as 0.3.6 calls it."""

AWAITABLE: Final = {f"LlmAgent.{name}" for name in ("send_message", "query", "send_message_async", "query_async")}
"""What returns a coroutine without being one; the first two are texts as well, see `ceylon.compat.answers`."""

LATER: Final = {"DistributedMesh", "PyDistributedMesh"}
"""Nobody can make one yet, so there is nothing to call."""


def differences(surface: Any, names: Names, otherwise: "set[str] | dict[str, str]") -> list[str]:
    """Return what of *names* the *surface* lacks or has otherwise."""
    found: list[str] = []
    for name, facts in names.items():
        ours = getattr(surface, name, None)
        if ours is None:
            found.append(f"{name} is missing")
        elif facts["kind"] == "alias":
            found += [] if ours is getattr(surface, facts["of"], None) else [f"{name} is not {facts['of']}"]
        elif facts["kind"] == "function":
            found += _call_differs(name, facts, ours)
        else:
            found += [f"{name} is no {base}" for base in facts["bases"] if not _is_a(ours, base, surface)]
            members = {} if name in LATER else facts["members"]
            found += [line for line in _member_differs(name, members, ours) if line.split(":")[0] not in otherwise]
    return found


def _is_a(ours: type, base: str, surface: Any) -> bool:
    return base == "ABC" or issubclass(ours, getattr(surface, base))


def _member_differs(name: str, members: Names, ours: type) -> Iterator[str]:
    for member, facts in members.items():
        where = f"{name}.{member}"
        value = inspect.getattr_static(ours, member, None)
        if facts["kind"] == "attribute" or value is None:
            is_there = value is not None or member in _attributes(name)
            yield from [] if is_there else [f"{where}: is missing"]
        elif member in {"__new__", "__init__"}:
            yield from _call_differs(where, facts, ours)
        elif facts["kind"] == "property":
            yield from [f"{where}: is to be called"] if callable(value) or isinstance(value, staticmethod) else []
        elif isinstance(value, staticmethod) is not (facts["kind"] == "static"):
            yield f"{where}: is {'no' if facts['kind'] == 'static' else 'a'} static method"
        else:
            yield from _call_differs(where, facts, getattr(ours, member))


def _call_differs(where: str, facts: Names, ours: Callable[..., Any]) -> Iterator[str]:
    """Yield how *ours* is called otherwise; it may take more, if that can be left out."""
    wanted, offered = facts["parameters"], parameters_of(ours)
    more = offered[len(wanted) :]
    if offered[: len(wanted)] != wanted or any(kind == "plain" and default is None for _, kind, default in more):
        yield f"{where}: takes {offered}, not {wanted}"
    if facts["async"] is not inspect.iscoroutinefunction(ours) and where not in AWAITABLE:
        yield f"{where}: is {'not ' if facts['async'] else ''}async"


def _attributes(name: str) -> set[str]:
    """Return what an instance has besides what its class has."""
    made: dict[str, Callable[[], Any]] = {
        "Agent": lambda: ceylon.compat.Agent("a"),
        "FunctionalAction": lambda: ceylon.compat.FunctionalAction(len, "length", "Measure."),
        "AsyncMessageProcessor": lambda: ceylon.compat.AsyncMessageProcessor(ceylon.compat.LocalMesh("attributes")),
    }
    return set(vars(made[name]())) if name in made else set()


def test_every_name_of_0_3_6_is_here_and_called_the_same_way() -> None:
    assert differences(ceylon.compat, STUB, set()) == []


def test_every_name_of_0_1_2_is_here_and_called_the_same_way() -> None:
    assert differences(ceylon.compat, EARLIER, OTHERWISE) == []


def test_what_is_said_to_be_called_otherwise_is() -> None:
    found = {line.split(":")[0] for line in differences(ceylon.compat, EARLIER, set())}

    assert found == set(OTHERWISE)


def test_all_lists_every_name_of_both_and_no_other() -> None:
    assert set(ceylon.compat.__all__) == {*STUB, *EARLIER}
    assert sorted(ceylon.compat.__all__) == list(ceylon.compat.__all__)


def test_every_name_that_is_listed_can_be_had_and_others_cannot() -> None:
    for name in ceylon.compat.__all__:
        assert getattr(ceylon.compat, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'PyAgents'"):
        _ = ceylon.compat.PyAgents  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(LATER))
def test_what_comes_later_says_when(name: str) -> None:
    with pytest.raises(NotImplementedError, match=r"comes with .*; until then, "):
        getattr(ceylon.compat, name)("mesh", 9000)


def test_the_names_of_a_stub_are_read_with_how_they_are_called() -> None:
    text = """
T = TypeVar("T")
class A(B, ABC):
    "words"
    x: int
    def __init__(self, a: str, b: int = 3, *c: Any, d: float, e: float = 1.5, **f: Any) -> None: ...
    @property
    def p(self) -> int: ...
    @staticmethod
    def s(self_like: int) -> int: ...
    async def w(self) -> None: ...
def g(h: Optional[str] = None) -> None: ...
Alias = A
"""
    parameters: list[list[str | None]] = [
        ["a", "plain", None],
        ["b", "plain", "3"],
        ["c", "rest", None],
        ["d", "named", None],
    ]
    members = {
        "__init__": _call(*parameters, ["e", "named", "1.5"], ["f", "options", None]),
        "p": {"kind": "property"},
        "s": {**_call(["self_like", "plain", None]), "kind": "static"},
        "w": {**_call(), "async": True},
        "x": {"kind": "attribute"},
    }

    assert stub_names(text) == {
        "A": {"kind": "class", "bases": ["ABC", "B"], "members": members},
        "Alias": {"kind": "alias", "of": "A"},
        "g": {**_call(["h", "plain", "None"]), "kind": "function"},
    }


def test_a_compiled_function_is_read_by_what_it_says_of_itself() -> None:
    assert parameters_of_text("($self, name, limit=5)") == [["name", "plain", None], ["limit", "plain", "5"]]


def _call(*parameters: list[str | None]) -> Names:
    return {"kind": "method", "async": False, "parameters": list(parameters)}


def _surface(**changes: Any) -> SimpleNamespace:
    """Return the names of compat with some changed, or taken away by `None`."""
    return SimpleNamespace(**{name: getattr(ceylon.compat, name) for name in ceylon.compat.__all__} | changes)


class _Renamed(ceylon.compat.PyToolInvoker):
    def invoke(self, action: str, inputs: str) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return action + inputs


class _Defaulted(ceylon.compat.PyLocalMesh):
    def broadcast(self, payload: str, exclude: str | None = "") -> Any:
        return payload, exclude


class _Async(ceylon.compat.PyInMemoryBackend):
    async def count(self) -> int:  # type: ignore[override]
        return 0


class _Bound(ceylon.compat.PyLlmConfig):
    def builder(self) -> Any:  # type: ignore[override]
        return self


class _Called(ceylon.compat.PyMeshResult):
    def response(self) -> str:  # type: ignore[override]
        return ""


class _Demanding(ceylon.compat.PyAgentContext):
    def __init__(self, mesh_name: str, more: str) -> None:
        super().__init__(mesh_name + more)


class _Bare:
    pass


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"get_metrics": None}, "get_metrics is missing"),
        ({"PyToolInvoker": _Renamed}, "PyToolInvoker.invoke: takes [['action',"),
        ({"PyLocalMesh": _Defaulted}, "PyLocalMesh.broadcast: takes"),
        ({"PyInMemoryBackend": _Async}, "PyInMemoryBackend.count: is async"),
        ({"PyLlmConfig": _Bound}, "PyLlmConfig.builder: is no static method"),
        ({"PyMeshResult": _Called}, "PyMeshResult.response: is to be called"),
        ({"PyAgentContext": _Demanding}, "PyAgentContext.__new__: takes"),
        ({"PyAgentMessageProcessor": _Bare}, "PyAgentMessageProcessor.process_pending: is missing"),
        ({"ReActConfig": _Bare}, "ReActConfig is not PyReActConfig"),
        ({"Agent": _Bare}, "Agent is no PyAgent"),
    ],
)
def test_the_comparison_finds_what_is_missing_or_called_otherwise(changes: dict[str, Any], words: str) -> None:
    found = differences(_surface(**changes), STUB, set())

    assert any(line.startswith(words) for line in found), found
