"""From a string to a model."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ceylon.errors import ModelConfigError
from ceylon.models import auto
from ceylon.models.auto import AutoModel
from ceylon.models.http import HttpClient
from ceylon.models.local import LocalModel, LocalSession
from ceylon.models.ollama import OllamaModel
from ceylon.models.openai import OpenAIModel
from ceylon.models.port import Model
from ceylon.models.providers import SERVICES
from ceylon.models.resolve import parse, resolve
from ceylon.models.scripted import ScriptedModel
from ceylon.models.secret import Secret
from ceylon.testing.model_server import ModelServer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ollama::gemma3:latest", "ollama::gemma3:latest"),
        ("ollama:gemma3:latest", "ollama::gemma3:latest"),
        ("ollama/gemma3:latest", "ollama::gemma3:latest"),
        ("gemma3:latest", "ollama::gemma3:latest"),
        ("gemma3", "ollama::gemma3"),
        ("hf.co/user/repo:Q4", "ollama::hf.co/user/repo:Q4"),
        ("ollama_chat/llama3", "ollama::llama3"),
        ("openai::gpt-x", "openai::gpt-x"),
        (" OpenAI :: gpt-x ", "openai::gpt-x"),
        ("openai:gpt-x", "openai::gpt-x"),
        ("openai:ft:gpt-x:org::id", "openai::ft:gpt-x:org::id"),
        ("openai::ft:gpt-x:org::id", "openai::ft:gpt-x:org::id"),
        ("gpt-x", "openai::gpt-x"),
        ("o3-mini", "openai::o3-mini"),
        ("chatgpt-x", "openai::chatgpt-x"),
        ("gpt-oss:20b", "ollama::gpt-oss:20b"),
        ("openai/gpt-oss-20b", "openai::gpt-oss-20b"),
        ("openrouter::openai/gpt-oss-20b", "openrouter::openai/gpt-oss-20b"),
        ("openrouter/anthropic/x", "openrouter::anthropic/x"),
        ("hosted_vllm/m", "vllm::m"),
        ("lmstudio::m", "lmstudio::m"),
        ("llamacpp::m", "llamacpp::m"),
        ("groq::m", "groq::m"),
        ("deepseek::m", "deepseek::m"),
        ("mistral::m", "mistral::m"),
        ("xai::m", "xai::m"),
        ("together::a/b", "together::a/b"),
        ("fireworks_ai/accounts/x/models/m", "fireworks::accounts/x/models/m"),
        ("azure::deployment", "azure::deployment"),
        ("hf::org/m:provider", "huggingface::org/m:provider"),
        ("litellm_proxy/m", "litellm::m"),
        ("claude-x", "anthropic::claude-x"),
        ("anthropic:claude-x", "anthropic::claude-x"),
        ("gemini-x", "gemini::gemini-x"),
        ("google-gla:gemini-x", "gemini::gemini-x"),
        ("gemini/models/gemini-x", "gemini::models/gemini-x"),
        ("openai-responses::gpt-x", "openai-responses::gpt-x"),
        ("openai-responses:gpt-x", "openai-responses::gpt-x"),
        ("local::smollm2", "local::smollm2"),
        ("local::/weights/x.gguf", "local::/weights/x.gguf"),
        ("/weights/x.gguf", "local::/weights/x.gguf"),
    ],
)
def test_a_model_string_is_understood(text: str, name: str) -> None:
    model = resolve(text)

    assert model.name == name
    assert isinstance(model, Model)
    assert resolve(name) == model  # the canonical spelling means the same


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("openia::gpt-x", "unknown provider 'openia' in 'openia::gpt-x'; did you mean 'openai'?"),
        ("zzz::m", "Known: ollama, openai, local"),
        ("", "names no model"),
        ("  ", "names no model"),
        ("ollama::", "names no model"),
        ("ollama:", "names no model"),
        ("openai::a\nb", "names no model"),
        ("::m", "unknown provider"),
        ("ft:gpt-x:org::id", "cannot read"),
        ("anthropic::", "names no model"),
        ("scripted::x", "ScriptedModel"),
        ("test::x", "ScriptedModel"),
    ],
)
def test_a_string_that_names_nothing_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ModelConfigError) as caught:
        resolve(text)

    assert words in str(caught.value)


def test_what_is_neither_string_nor_model_is_refused() -> None:
    with pytest.raises(ModelConfigError, match="not int"):
        resolve(7)  # type: ignore[arg-type]


def test_settings_reach_the_model() -> None:
    model = resolve("openai::m", api_key="sk-canary-4711", base_url="http://box/v1", options={"top_p": 1})

    assert model == OpenAIModel(
        model="m", api_key=Secret("sk-canary-4711"), base_url="http://box/v1", options={"top_p": 1}
    )
    assert "canary" not in repr(model)


def test_a_model_passes_through_as_it_is() -> None:
    model = ScriptedModel()

    assert resolve(model) is model
    with pytest.raises(ModelConfigError, match="api_key, options"):
        resolve(model, api_key="k", options={"a": 1})


def test_the_embedded_model_takes_no_address() -> None:
    with pytest.raises(ModelConfigError, match="base_url"):
        resolve("local::smollm2", base_url="http://box")


def test_the_default_provider_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEYLON_DEFAULT_PROVIDER", "vllm")

    assert parse("some-model") == ("vllm", "some-model")


def test_a_default_provider_that_is_unknown_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEYLON_DEFAULT_PROVIDER", "olama")

    with pytest.raises(ModelConfigError, match="'ollama'"):
        resolve("some-model")


@pytest.mark.process
def test_resolving_loads_no_http_library() -> None:
    program = (
        "import sys, ceylon.models.resolve as r; r.resolve('ollama::m'); r.resolve('local::smollm2');"
        "print([name for name in ('httpx', 'httpcore', 'sqlite3', 'xllamacpp', 'llm') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 – our program

    assert done.stdout.strip() == "[]"


# -- auto


@pytest.fixture(autouse=True)
def nothing_chosen_yet() -> None:
    auto.log_choice.cache_clear()


@pytest.fixture
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")


def test_auto_uses_the_model_of_the_environment_first(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CEYLON_MODEL", "openai::m")

    with caplog.at_level(logging.INFO, "ceylon"):
        models = [resolve("auto", base_url="http://box/v1") for _ in range(3)]

    assert models == [OpenAIModel(model="m", base_url="http://box/v1")] * 3
    assert caplog.messages == ["model_chosen openai::m ($CEYLON_MODEL)"]


@pytest.mark.parametrize("text", ["", "auto"])
def test_auto_that_names_itself_is_no_choice(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CEYLON_MODEL", text)

    assert resolve("auto", options={"seed": 1}) == AutoModel(options={"seed": 1})


def test_auto_refuses_an_address() -> None:
    with pytest.raises(ModelConfigError, match="'auto' finds its own"):
        resolve("auto", base_url="http://box")


def test_auto_is_sound_before_it_chose() -> None:
    model = resolve("auto")

    model.check()
    assert model.name == "auto"


async def test_auto_uses_a_running_ollama_that_can_chat(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("nomic-embed-text:latest", "big:120b-cloud", "llama3.2:latest", "gemma3:latest")
    with ModelServer(models=names) as server, caplog.at_level(logging.INFO, "ceylon"):
        monkeypatch.setenv("OLLAMA_HOST", server.base_url)
        monkeypatch.setattr(auto, "_PROBE_SECONDS", 60.0)  # a busy machine may need more than users wait
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-4711")
        model, _ = await AutoModel(options={"top_k": 1}).choose(client)
        for _ in range(2):
            await AutoModel().open(client)

    assert model == OllamaModel(model="llama3.2:latest", options={"top_k": 1})
    assert len(caplog.messages) == 1
    assert "model_chosen ollama::llama3.2:latest" in caplog.text


@pytest.mark.usefixtures("no_ollama")
async def test_auto_uses_a_key_of_the_environment_next(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-4711")

    model, why = await AutoModel().choose(client)

    assert isinstance(model, OpenAIModel)
    assert why == "OPENAI_API_KEY is set"


@pytest.mark.usefixtures("no_ollama")
@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("ANTHROPIC_API_KEY", "anthropic::claude-haiku-4-5"),
        ("GOOGLE_API_KEY", "gemini::gemini-flash-lite-latest"),
        ("GEMINI_API_KEY", "gemini::gemini-flash-lite-latest"),
    ],
)
async def test_auto_uses_whose_key_is_there(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    monkeypatch.setenv(variable, "sk-canary-4711")

    model, why = await AutoModel(options={"a": 1}).choose(client)

    assert (model.name, why) == (name, f"{variable} is set")


@pytest.mark.usefixtures("no_ollama")
async def test_auto_uses_the_embedded_model_last(client: HttpClient) -> None:
    model, _ = await AutoModel().choose(client)

    assert model == LocalModel()


async def test_auto_passes_over_an_ollama_without_models(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer(models=()) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.base_url)
        monkeypatch.setattr(auto, "_PROBE_SECONDS", 60.0)  # a busy machine may need more than users wait

        model, _ = await AutoModel().choose(client)

    assert model == LocalModel()


@pytest.mark.model
@pytest.mark.usefixtures("no_ollama")
async def test_auto_opens_the_embedded_model(client: HttpClient) -> None:
    session = await AutoModel().open(client)
    try:
        assert isinstance(session, LocalSession)
    finally:
        await session.aclose()


def test_the_reference_lists_every_server_of_chat_completions() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z]+)` \| (.*?) \| `(\w+)` \|$", page, re.MULTILINE)

    assert {provider for provider, *_ in listed} == set(SERVICES)
    for provider, address, variable in listed:
        assert SERVICES[provider].base_url in address
        assert SERVICES[provider].key_variable == variable
