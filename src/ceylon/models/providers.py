"""The providers by name: what they are called, where they listen, which variable holds their key. Data, no logic."""

from collections.abc import Mapping
from typing import Final

from ceylon.models.anthropic import AnthropicModel
from ceylon.models.gemini import GeminiModel
from ceylon.models.quirks import OPENAI, Quirks, Service
from ceylon.models.responses import ResponsesModel
from ceylon.models.service import ServiceModel

__all__ = ["ALIASES", "KNOWN", "OWN_FORMATS", "SERVICES"]

_STRICT: Final = Quirks(strict=True)
_ROUTER: Final = Quirks(strict=True, thinking_name="reasoning")
_BY_TOOL: Final = Quirks(output="tool")  # a schema by itself for none or some of its models only
_BY_PROMPT: Final = Quirks(output="prompt")  # depends on the model

# servers on one's own machine: a key only if they were started with one
_OWN: Final = (
    ("vllm", "http://127.0.0.1:8000/v1", "VLLM_API_KEY", Quirks(thinking_name="reasoning")),
    ("lmstudio", "http://127.0.0.1:1234/v1", "LMSTUDIO_API_KEY", Quirks(tool_choice=False)),
    (
        "llamacpp",
        "http://127.0.0.1:8080/v1",
        "LLAMA_API_KEY",
        Quirks(output_with_tools=False, thinking_name="reasoning_content"),
    ),
    ("sglang", "http://127.0.0.1:30000/v1", "SGLANG_API_KEY", Quirks()),
    ("litellm", "http://127.0.0.1:4000/v1", "LITELLM_PROXY_API_KEY", Quirks()),
)

_HOSTED: Final = (
    ("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", _ROUTER),
    ("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", _BY_TOOL),
    (
        "deepseek",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
        Quirks(output="tool", thinking_name="reasoning_content"),
    ),
    (
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        Quirks(strict=True, seed_name="random_seed", stream_usage=False, short_ids=True),
    ),
    ("xai", "https://api.x.ai/v1", "XAI_API_KEY", _STRICT),
    ("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", Quirks()),
    ("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", Quirks()),
    ("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", Quirks(strict=True, output_with_tools=False)),
    ("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", Quirks(tools=False, seed_name="")),
    ("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", _BY_PROMPT),
    ("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", _BY_PROMPT),
    (
        "moonshot",
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        Quirks(output="prompt", tool_choice=False, seed_name="", thinking_name="reasoning_content"),
    ),
    ("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN", Quirks()),
    ("github", "https://models.github.ai/inference", "GITHUB_TOKEN", _STRICT),
    ("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", _BY_PROMPT),
    ("cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY", Quirks(output_with_tools=False)),
    ("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", _BY_PROMPT),
    ("vercel", "https://ai-gateway.vercel.sh/v1", "AI_GATEWAY_API_KEY", Quirks()),
)

SERVICES: Final[Mapping[str, Service]] = {
    "openai": OPENAI,
    **{
        provider: Service(provider=provider, base_url=url, key_variable=variable, needs_key=False, quirks=quirks)
        for provider, url, variable, quirks in _OWN
    },
    **{
        provider: Service(provider=provider, base_url=url, key_variable=variable, quirks=quirks)
        for provider, url, variable, quirks in _HOSTED
    },
    # every customer of Azure has an address of their own, such as https://NAME.openai.azure.com/openai/v1
    "azure": Service(
        provider="azure",
        base_url="",
        key_variable="AZURE_OPENAI_API_KEY",
        url_variable="AZURE_OPENAI_BASE_URL",
        quirks=OPENAI.quirks,
    ),
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
    "litellm_proxy": "litellm",
    "together_ai": "together",
    "mistralai": "mistral",
    "fireworks_ai": "fireworks",
    "nvidia_nim": "nvidia",
    "moonshotai": "moonshot",
    "azure_openai": "azure",
    "hf": "huggingface",
    "grok": "xai",
    "test": "scripted",
    "google": "gemini",
    "google-gla": "gemini",
    "google_genai": "gemini",
    "google-genai": "gemini",
    "claude": "anthropic",
}
