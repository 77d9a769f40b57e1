"""A key is never seen."""

import copy
import logging
import pickle

import msgspec
import pytest

from ceylon.errors import ModelConfigError
from ceylon.models.endpoint import Endpoint
from ceylon.models.openai import OpenAIModel
from ceylon.models.secret import Secret, redact

KEY = "sk-canary-4711"


def test_a_secret_shows_itself_only_to_reveal() -> None:
    secret = Secret(f" {KEY}\n")

    assert secret.reveal() == KEY
    assert KEY not in f"{secret} {secret!r} {[secret]} {vars(Secret)}"


def test_a_secret_hides_in_what_holds_it(caplog: pytest.LogCaptureFixture) -> None:
    model = OpenAIModel(model="m", api_key=Secret(KEY))
    endpoint = Endpoint(model="m", base_url="http://user:pass@host/v1?key=1", advice="", key=Secret(KEY))

    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%r %s", model, endpoint)

    assert KEY not in caplog.text
    assert endpoint.address == "http://host/v1"


def test_a_secret_is_equal_by_value_and_survives_a_copy() -> None:
    secret = Secret(KEY)

    assert secret == Secret(KEY)
    assert secret != Secret("other")
    assert secret != KEY
    assert {secret: 1}[Secret(KEY)] == 1
    assert copy.deepcopy(secret) is copy.copy(secret) is secret


def test_a_secret_is_not_written_down() -> None:
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(Secret(KEY))
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(KEY))


def test_blank_text_is_no_key() -> None:
    assert Secret.of(" ") is Secret.of(None) is None
    assert Secret.of(Secret(KEY)) == Secret.of(KEY) == Secret(KEY)


@pytest.mark.parametrize("bad", ["a b", "a\nb", "“quoted”", "", "ключ"])
def test_a_key_no_header_can_carry_is_refused_without_showing_it(bad: str) -> None:
    with pytest.raises(ModelConfigError, match="OPENAI_API_KEY") as caught:
        Secret(bad).check("OPENAI_API_KEY")

    assert not bad or bad not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        f"Authorization: Bearer {KEY}",
        f'{{"authorization": "Bearer {KEY}"}}',
        f"X-API-Key={KEY}",
        f"api_key: '{KEY}'",
        f"GET /v1?key={KEY}&b=1",
        f"token={KEY}",
        f"Set-Cookie: {KEY}",
        f"wrong bearer {KEY}",
        f"Incorrect API key provided: {KEY}.",
    ],
)
def test_what_looks_like_a_key_is_redacted(words: str) -> None:
    assert KEY not in redact(words)
    assert "****" in redact(words)


def test_googles_keys_look_like_keys_too() -> None:
    assert redact("API key AIzaCanary47114711 expired") == "API key **** expired"


def test_the_callers_own_key_is_redacted_whatever_it_looks_like() -> None:
    assert redact("you sent plain-words", Secret("plain-words")) == "you sent ****"


def test_innocent_words_stay() -> None:
    words = "max_tokens: 5 is too many tokens; monkey business"

    assert redact(words) == words


def test_words_are_cut_to_the_limit_after_they_are_redacted() -> None:
    words = redact("é" * 5_000)

    assert len(words.encode()) <= 2048
    assert words.endswith("…")
    assert KEY[:8] not in redact("x" * 2040 + KEY, Secret(KEY))
