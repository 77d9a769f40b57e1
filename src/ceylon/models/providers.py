"""The providers by name: what they are called, where they listen, which variable holds their key. Data, no logic."""

from collections.abc import Mapping
from typing import Final

from ceylon.models.anthropic import AnthropicModel
from ceylon.models.gemini import GeminiModel
from ceylon.models.openai import OPENAI, Service
from ceylon.models.responses import ResponsesModel
from ceylon.models.service import ServiceModel

__all__ = ["ALIASES", "KNOWN", "OWN_FORMATS", "SERVICES"]

SERVICES: Final[Mapping[str, Service]] = {
    service.provider: service
    for service in (
        OPENAI,
        # servers on one's own machine: a key only if they were started with one
        Service(provider="vllm", base_url="http://127.0.0.1:8000/v1", key_variable="VLLM_API_KEY", needs_key=False),
        Service(
            provider="lmstudio", base_url="http://127.0.0.1:1234/v1", key_variable="LMSTUDIO_API_KEY", needs_key=False
        ),
        Service(
            provider="llamacpp", base_url="http://127.0.0.1:8080/v1", key_variable="LLAMA_API_KEY", needs_key=False
        ),
        # services
        Service(provider="openrouter", base_url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY"),
        Service(provider="groq", base_url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY"),
        Service(provider="deepseek", base_url="https://api.deepseek.com/v1", key_variable="DEEPSEEK_API_KEY"),
        Service(provider="mistral", base_url="https://api.mistral.ai/v1", key_variable="MISTRAL_API_KEY"),
        Service(provider="xai", base_url="https://api.x.ai/v1", key_variable="XAI_API_KEY"),
        Service(provider="together", base_url="https://api.together.xyz/v1", key_variable="TOGETHER_API_KEY"),
    )
}

OWN_FORMATS: Final[Mapping[str, type[ServiceModel]]] = {
    kind.host.provider: kind for kind in (AnthropicModel, GeminiModel, ResponsesModel)
}
"""Services that speak no chat completions."""

KNOWN: Final = (
    *("ollama", "openai", "local", *OWN_FORMATS),
    *(name for name in SERVICES if name != "openai"),
    "scripted",
)

ALIASES: Final[Mapping[str, str]] = {
    "ollama_chat": "ollama",
    "openai-chat": "openai",
    "openai_responses": "openai-responses",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio",
    "lm-studio": "lmstudio",
    "llama.cpp": "llamacpp",
    "llamafile": "llamacpp",
    "together_ai": "together",
    "mistralai": "mistral",
    "grok": "xai",
    "test": "scripted",
    "google": "gemini",
    "google-gla": "gemini",
    "google_genai": "gemini",
    "google-genai": "gemini",
    "claude": "anthropic",
}
