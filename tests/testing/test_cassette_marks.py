"""What a replay has in the place of secrets: this machine's, or a stand-in, and never one where another was."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ceylon import LlmAgent, Mesh
from ceylon.errors import ModelStatusError
from ceylon.models.scripted import ScriptedModel
from ceylon.models.secret import Secret
from ceylon.models.turns import Reply, Request, TextPart, ThinkingPart, ToolCall
from ceylon.testing import CassetteError, record
from ceylon.testing.marks import fill, mark
from ceylon.testing.masking import Masking
from support.recorded import ForbiddenModel

KEY: Final = "canary-a1-environment"
OTHER: Final = "canary-b2-of-another-machine"
SHAPED: Final = "sk-canary-j0-answer"


class KeyedModel(ScriptedModel):
    """A model that has a key."""

    def __init__(self, key: str, *steps: Any) -> None:
        super().__init__(steps)
        self.key = Secret(key)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "marks.cassette"


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEA_SHOP_API_KEY", KEY)


def text_of(tape: Path) -> str:
    return tape.read_text(encoding="utf-8")


def put(tape: Path, text: str) -> None:
    """Tamper with a cassette."""
    tape.write_text(text, encoding="utf-8")


async def ask(model: Any, *questions: str, **settings: Any) -> list[str]:
    async with Mesh() as mesh:
        mesh.add(agent := LlmAgent("tutor", model, **settings))
        return [await agent.conversation("one").send(each) for each in questions]


async def recorded_and_replayed(tape: Path, steps: list[Any], *questions: str, **settings: Any) -> list[list[str]]:
    """Return what was answered, and what is answered again."""
    with record(tape):
        recorded = await ask(ScriptedModel(steps), *questions, **settings)
    with record(tape):
        return [recorded, await ask(ForbiddenModel(), *questions, **settings)]


async def test_a_key_of_the_environment_is_given_back(tape: Path) -> None:
    recorded, replayed = await recorded_and_replayed(tape, [f"it is {KEY}", "two"], "Which key?", "And then?")

    assert replayed == recorded == [f"it is {KEY}", "two"]
    assert "text: it is <secret TEA_SHOP_API_KEY>\n" in text_of(tape)
    assert KEY not in text_of(tape)


async def test_another_machine_has_its_own_key_in_that_place(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with record(tape):
        await ask(ScriptedModel([f"it is {KEY}", "two"]), "Which key?", "And then?")
    monkeypatch.setenv("TEA_SHOP_API_KEY", OTHER)

    with record(tape):
        assert await ask(ForbiddenModel(), "Which key?", "And then?") == [f"it is {OTHER}", "two"]


async def test_where_there_is_no_key_a_stand_in_is_given_and_goes_on_with_the_conversation(
    tape: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with record(tape):
        await ask(ScriptedModel([f"{KEY} or {SHAPED}", "two"]), "Which key?", "And then?")
    monkeypatch.delenv("TEA_SHOP_API_KEY")

    with record(tape):
        answer, _ = await ask(ForbiddenModel(), "Which key?", "And then?")

    assert answer == "not-recorded-secret-TEA-SHOP-API-KEY or not-recorded-secret-1"


async def test_a_key_that_the_question_had_is_given_back_from_the_question(tape: Path) -> None:
    def echo(request: Request) -> str:
        return request.turns[-1].text.removeprefix("Is it ").removesuffix("?")

    with record(tape):
        recorded = await ask(ScriptedModel([echo, echo]), f"Is it {SHAPED} / sk-canary-x9-second?", f"Is it {SHAPED}?")
    assert recorded == [f"{SHAPED} / sk-canary-x9-second", SHAPED]
    here = "Is it sk-here-1234567890 / sk-here-0987654321?", "Is it sk-here-1234567890?"

    with record(tape):
        replayed = await ask(ForbiddenModel(), *here)

    assert replayed == ["sk-here-1234567890 / sk-here-0987654321", "sk-here-1234567890"]
    assert "sk-" not in text_of(tape)


async def test_a_cassette_from_before_there_were_marks_still_replays(tape: Path) -> None:
    with record(tape):
        await ask(ScriptedModel([f"it is {SHAPED}"]), f"Is it {KEY}?")
    put(tape, re.sub(r"<secret [^>]+>", "****", text_of(tape)))

    with record(tape):
        assert await ask(ForbiddenModel(), f"Is it {KEY}?") == ["it is ****"]


@pytest.mark.parametrize("name", ["model", "given"])
async def test_the_key_of_a_model_and_a_secret_that_was_told_are_given_back(tape: Path, name: str) -> None:
    told = "canary c3 told of"
    key = "canary-k4-of-the-model"
    said = {"model": key, "given": told}[name]
    with record(tape, secrets=[told]):
        recorded = await ask(KeyedModel(key, f"it is {said}"), "Which?")
    with record(tape, secrets=[told]):
        replayed = await ask(KeyedModel(key), "Which?")

    assert replayed == recorded == [f"it is {said}"]
    assert {"model": "<secret key of scripted::model>", "given": "<secret given 1>"}[name] in text_of(tape)
    assert said not in text_of(tape)


async def test_what_a_tool_is_called_with_stays_one_and_the_same_secret(tape: Path) -> None:
    """A key in an argument, that comes back bare from the tool, and bare in the answer."""
    called: list[str] = []

    async def unlock(api_key: str) -> str:
        """Unlock what is locked."""
        called.append(api_key)
        return f"unlocked with {api_key}"

    steps = [
        Reply(text="", calls=(ToolCall("1", "unlock", {"api_key": "canary9of9the9lock"}),), finish="tool"),
        "It was canary9of9the9lock.",
    ]
    recorded, replayed = await recorded_and_replayed(tape, steps, "Open it.", tools=[unlock])

    assert recorded == ["It was canary9of9the9lock."]
    assert called[0] == "canary9of9the9lock"
    assert replayed == [f"It was {called[1]}."] == ["It was not-recorded-secret-1."]
    assert "canary9" not in text_of(tape)


async def test_a_word_that_only_stood_where_a_key_might_is_itself_elsewhere(tape: Path) -> None:
    steps = ["sort with key=created_at_2", "by created_at_2"]
    _, replayed = await recorded_and_replayed(tape, steps, "How?", "By what?")

    assert replayed == ["sort with key=not-recorded-secret-1", "by created_at_2"]


async def test_an_error_has_the_key_that_is_here(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with record(tape), pytest.raises(ModelStatusError, match=KEY):
        await ask(ScriptedModel([ModelStatusError("m", 400, f"bad key: {KEY}")]), "one")
    monkeypatch.setenv("TEA_SHOP_API_KEY", OTHER)
    assert KEY not in text_of(tape)

    with record(tape), pytest.raises(ModelStatusError, match=OTHER) as caught:
        await ask(ForbiddenModel(), "one")
    assert caught.value.body == f"bad key: {OTHER}"


@pytest.mark.parametrize(
    "text",
    [
        "<secret 1>",
        f"<secret {KEY}>",
        "a <secret",
        "<secret literally>",
        "<secret TEA_SHOP_API_KEY> <secret x part 1/2>",
    ],
)
async def test_a_text_that_looks_like_a_mark_is_that_text_again(tape: Path, text: str) -> None:
    recorded, replayed = await recorded_and_replayed(tape, [text, text], f"Say {text}", "Again")

    assert replayed == recorded == [text, text]


# -- streams -----------------------------------------------------------------------------------------------------------


def cut(text: str, kind: Callable[[str], Any], at: int) -> list[Any]:
    return [kind(each) for each in (text[:at], text[at : at + 3], text[at + 3 :]) if each]


async def parts_of(model: Any) -> list[Any]:
    async with Mesh() as mesh:
        mesh.add(agent := LlmAgent("tutor", model))
        return [part async for part in agent.parts("Which key?") if isinstance(part, TextPart | ThinkingPart)]


def said(parts: list[Any], kind: Any) -> str:
    return "".join(each.text for each in parts if isinstance(each, kind))


TEXT: Final = f"It is {KEY}, no, {SHAPED}"


async def test_a_key_that_a_stream_has_cut_is_masked_at_every_cut_and_comes_back_in_as_many_parts(
    tmp_path: Path, anyio_backend: str
) -> None:
    for at in range(1 + (anyio_backend == "trio"), len(TEXT) - 3, 2):  # each loop half of them
        path = tmp_path / f"{at}.cassette"
        with record(path):
            recorded = await parts_of(ScriptedModel([cut(TEXT, ThinkingPart, at) + cut(TEXT, TextPart, at)]))
        with record(path):
            replayed = await parts_of(ForbiddenModel())

        assert said(recorded, TextPart) == TEXT
        assert not re.search(r"canary|j0|sk-", text_of(path)), at
        assert len(replayed) == len(recorded)
        for kind in (ThinkingPart, TextPart):
            assert said(replayed, kind) == TEXT.replace(SHAPED, "not-recorded-secret-1"), at


async def test_parts_that_are_masked_one_by_one_show_a_key(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage of the test above."""
    whole = Masking.pieces
    monkeypatch.setattr(
        Masking, "pieces", lambda self, texts, found=None: [whole(self, [each], found)[0] for each in texts]
    )
    with record(tape):
        await parts_of(ScriptedModel([cut(TEXT, TextPart, 10)]))

    assert "cana" in text_of(tape)


async def test_a_replay_that_gives_nothing_back_is_not_the_same(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage of the tests of what is given back: they compare with what was recorded."""
    monkeypatch.setattr("ceylon.testing.player.fill", lambda value, secret: value)

    recorded, replayed = await recorded_and_replayed(tape, [f"it is {KEY}"], "Which key?")

    assert replayed == ["it is <secret TEA_SHOP_API_KEY>"] != recorded


async def test_a_key_in_another_place_is_a_question_that_differs(tape: Path) -> None:
    with record(tape):
        await ask(ScriptedModel(["yes"]), f"Is it {SHAPED}, sir?")

    with pytest.raises(CassetteError, match=r"-.*Is it \*\*\*\*, sir\?\n\+.*Is it \*\*\*\*, madam\?"), record(tape):
        await ask(ForbiddenModel(), f"Is it {SHAPED}, madam?")


def test_pieces_are_cut_from_the_secret_that_is_here_and_are_the_whole_together() -> None:
    for count in range(1, 6):
        pieces = [f"{mark('x')[:-1]} part {number}/{count}>" for number in range(1, count + 1)]
        for secret in ("", "ab", "abcdefghijk"):
            assert "".join(fill(pieces, lambda name, secret=secret: secret)) == secret  # type: ignore[misc]
    assert fill("<secret x part 1/0>", lambda name: "abc") == "abc"  # somebody has edited it
