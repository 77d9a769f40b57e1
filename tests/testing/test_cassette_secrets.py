"""No key that goes through a recorded run is in its cassette, whichever way it went."""

from pathlib import Path
from typing import Any, Final

import pytest

from ceylon import LlmAgent, Mesh
from ceylon.errors import ModelStatusError
from ceylon.models.scripted import ScriptedModel
from ceylon.models.secret import Secret
from ceylon.models.turns import Reply, ThinkingPart, ToolCall
from ceylon.testing import CassetteError, record
from ceylon.testing.masking import Masking

CANARIES: Final = {
    "environment": "canary-a1-environment",
    "model": "canary-b2-of-the-model",
    "told": "canary c3 told of",
    "bearer": "canary-d4-bearer",
    "header": "canary-e5-header",
    "user": "canary-f6-user",
    "query": "canary-g7-query",
    "cookie": "canary-h8-cookie",
    "argument": "canary-i9-argument",
    "answer": "sk-canary-j0-answer",
    "error": "canary-k1-error",
    "signed": "eyJjYW5hcnk.eyJsMiI6MX0.bDJ",
}


class KeyedModel(ScriptedModel):
    """A model that has a key."""

    def __init__(self, steps: Any) -> None:
        super().__init__(steps)
        self.key = Secret(CANARIES["model"])


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEA_SHOP_API_KEY", CANARIES["environment"])


def prompts() -> list[str]:
    """Return questions, and among them most of the keys."""
    return [
        f"My key is {CANARIES['environment']}, yours {CANARIES['model']}, and {CANARIES['told']}\nis a third.",
        f"Authorization: Bearer {CANARIES['bearer']}",
        f'{{"x-api-key": "{CANARIES["header"]}"}}',
        f"https://tea:{CANARIES['user']}@example.com/?key={CANARIES['query']}&page=2",
        f"Cookie: {CANARIES['cookie']}",
        f"the token {CANARIES['signed']} was signed",
    ]


def answers() -> list[Any]:
    """Return what is answered, with the other keys."""
    arguments = {"deep": [{"api_key": CANARIES["argument"]}], "sku": "assam"}
    return [
        "one",
        Reply(text="", calls=(ToolCall("1", "unlock", arguments),), finish="tool"),
        "two",
        [ThinkingPart("is it " + CANARIES["answer"]), f"it is {CANARIES['answer']}"],
        ModelStatusError("m", 400, f"api_key={CANARIES['error']}"),
        "five",
        "six",
    ]


async def unlock(sku: str, deep: list[dict[str, str]]) -> str:
    """Unlock what is locked."""
    return f"{sku}: api_key={deep[0]['api_key']}"


async def run(path: Path) -> None:
    with record(path, mode="record", secrets=[CANARIES["told"]]):
        async with Mesh() as mesh:
            mesh.add(agent := LlmAgent("tutor", KeyedModel(answers()), tools=[unlock]))
            for at, prompt in enumerate(prompts()):
                try:
                    await (agent.parts(prompt).result() if at == 2 else agent.complete(prompt))
                except ModelStatusError:
                    assert at == 3


def found(path: Path) -> set[str]:
    """Return which canaries are in the file."""
    content = path.read_bytes()
    return {name for name, canary in CANARIES.items() if canary.encode() in content}


async def test_no_key_is_in_a_cassette(tmp_path: Path) -> None:
    await run(tmp_path / "keys.cassette")

    assert found(tmp_path / "keys.cassette") == set()
    assert (tmp_path / "keys.cassette").read_text().count("<secret ") >= len(CANARIES)


async def test_without_masking_every_canary_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Masking, "apply", lambda self, value, found=None: value)
    monkeypatch.setattr(Masking, "pieces", lambda self, texts, found=None: list(texts))

    await run(tmp_path / "keys.cassette")

    assert found(tmp_path / "keys.cassette") == set(CANARIES)


async def test_a_difference_is_shown_without_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.cassette"
    await run(path)
    agent = LlmAgent("tutor", KeyedModel([]), tools=[unlock])

    with pytest.raises(CassetteError) as caught, record(path, secrets=[CANARIES["told"]]):
        async with Mesh() as mesh:
            mesh.add(agent)
            await agent.send_message_async(
                prompts()[0] + "\nAnd " + CANARIES["bearer"].replace("canary", "Bearer canary")
            )

    assert "\n+        And Bearer ****\n" in str(caught.value)
    assert not [name for name, canary in CANARIES.items() if canary in str(caught.value)]


async def test_a_replay_needs_no_key_to_be_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key.cassette"
    for key in ("first-key-of-many", "another-key-altogether"):
        monkeypatch.setenv("TEA_SHOP_API_KEY", key)
        with record(path):
            async with Mesh() as mesh:
                mesh.add(agent := LlmAgent("tutor", ScriptedModel(["yes"])))
                assert await agent.send_message_async(f"Is {key} right?") == "yes"
    assert "Is <secret TEA_SHOP_API_KEY> right?" in path.read_text()


@pytest.mark.parametrize(
    "text", ["the key to success", "a token of love", "cookies and tea", "no secrets", "key: C major"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert Masking().apply({"text": text}) == {"text": text}
