"""What an agent may be called."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon import Agent, CeylonError, Mesh
from ceylon.core.names import check_address, check_name, split_key
from ceylon.errors import InvalidNameError
from ceylon.settings import DEFAULTS

GOOD = ["a", "A", "0", "shop", "tea-shop", "tea_shop", "tea.shop", "0-9", "a" * 64, "x.", "x-"]
BAD = [
    "", " ", "tea shop", ".shop", "-shop", "_shop", "$shop", "shop$", "shop/lisbon", "a" * 65, "şhop", "tea\n", "\ntea",
    "tea\x00", "\u0661", "tea:1", "*", None, 5, b"tea", ["tea"],
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_name_of_letters_digits_and_three_signs_is_good(name: str) -> None:
    assert check_name(name) == name
    assert Agent(name).name == name


@pytest.mark.parametrize("name", BAD, ids=repr)
def test_every_other_name_is_refused_and_the_rule_is_shown(name: Any) -> None:
    with pytest.raises(InvalidNameError, match=re.escape("A-Z a-z 0-9 _ . -")) as caught:
        Agent(name)

    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, CeylonError)
    assert caught.value.name == name


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True))
def test_what_the_rule_says_is_good(name: str) -> None:
    assert check_name(name) == name
    assert check_address(name) == name
    assert split_key(name) == (name, "")


@given(st.text(max_size=80))
def test_nothing_but_what_the_rule_says_is_good(name: str) -> None:
    good = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) is not None

    try:
        check_name(name)
    except InvalidNameError:
        assert not good
    else:
        assert good


def test_a_name_cannot_be_changed() -> None:
    agent = Agent("shop")

    with pytest.raises(AttributeError):
        agent.name = "kiosk"  # type: ignore[misc]


async def test_an_invalid_name_never_comes_into_a_mesh(mesh: Mesh) -> None:
    class Sly(Agent):
        @property
        def name(self) -> str:
            return "not a name"

    with pytest.raises(InvalidNameError):
        mesh.add(Sly("sly"))


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("shop", ("shop", "")),
        ("shop/lisbon", ("shop", "lisbon")),
        ("shop/a/b", ("shop", "a/b")),
        ("shop/é 💡 any text", ("shop", "é 💡 any text")),
        ("tutor$7", ("tutor$7", "")),
        ("tutor$7/alice", ("tutor$7", "alice")),
        (f"shop/{'k' * DEFAULTS.conversation_key}", ("shop", "k" * DEFAULTS.conversation_key)),
    ],
)
def test_an_address_is_a_name_and_perhaps_a_key(address: str, parts: tuple[str, str]) -> None:
    assert check_address(address) == address
    assert split_key(address) == parts


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/",
        "/key",
        "shop/",
        f"shop/{'k' * (DEFAULTS.conversation_key + 1)}",
        "tea shop/key",
        "tutor$x",
        "$7",
        None,
        5,
    ],
)
def test_what_could_be_no_address_is_refused(address: Any) -> None:
    with pytest.raises(InvalidNameError):
        check_address(address)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True), st.text(min_size=1, max_size=50))
def test_a_name_and_a_key_can_be_told_apart_again(name: str, key: str) -> None:
    assert split_key(check_address(f"{name}/{key}")) == (name, key)
