"""Who takes part: names, pinned requirements, the Python each needs and the clock by which each is judged."""

from typing import Final, NamedTuple

from benchmarks.contest import Clock

__all__ = ["CONTENDERS", "Contender", "find"]


class Contender(NamedTuple):
    """A library, and what an environment for it holds.

    Args:
        name: What scenarios call it.
        requires: What is installed, pinned.
        home: It lives in the project's own environment, on any Python that another contender needs.
        python: The oldest Python it runs on, where the project's oldest will not do.
        clock: `cpu` for what works on one thread, where CPU and wall seconds are the same on an idle machine; `wall`
            for what has other threads or processes. Two contenders are compared by wall unless both say `cpu`.
        leaves_threads: Its threads or processes keep a process from ending; it is ended by force once it has answered.
        own_openssl: Its wheel brings an OpenSSL that needs a newer C library than some machines have; the machine's own
            takes its place.
    """

    name: str
    requires: tuple[str, ...] = ()
    home: bool = False
    python: str | None = None
    clock: Clock = "cpu"
    leaves_threads: bool = False
    own_openssl: bool = False


CONTENDERS: Final = (
    Contender("bare asyncio", home=True),
    Contender("anyio + msgspec", home=True),
    Contender("ceylon", home=True),
    Contender("ceylon, its names", home=True),
    Contender("ceylon without its waits graph", home=True),
    Contender("pykka", ("pykka==4.5.0",), clock="wall"),
    Contender("xoscar", ("xoscar==0.12.2",)),
    Contender("thespian", ("thespian==4.0.1",)),
    Contender("autogen-core", ("autogen-core==0.7.5",)),
    Contender("everything-is-an-actor", ("everything-is-an-actor==0.1.6",), python="3.12"),
    Contender("casty", ("casty==0.30.2",), python="3.12"),
    Contender("ray", ("ray==2.60.0",), clock="wall", leaves_threads=True),
    Contender("bare httpx", home=True),
    Contender("the parser", home=True),
    Contender("ceylon, speed", home=True),
    Contender("bare aiohttp", ("aiohttp==3.14.5",)),
    Contender("openai", ("openai==3.57.0",)),
    Contender("openai, aiohttp", ("openai[aiohttp]==3.57.0", "aiohttp==3.14.5")),
    Contender("pydantic-ai", ("pydantic-ai-slim[openai]==2.68.0",)),
    Contender("openai-agents", ("openai-agents==0.24.0",)),
    Contender("langgraph", ("langgraph==1.2.24", "langchain==1.5.2", "langchain-openai==1.7.4")),
    Contender("autogen-agentchat", ("autogen-agentchat==0.7.5", "autogen-ext[openai]==0.7.5")),
    Contender("ceylonai-next", ("ceylonai-next==0.3.6",), clock="wall", leaves_threads=True, own_openssl=True),
)


def find(name: str) -> Contender:
    """Return the contender called *name*."""
    [contender] = [each for each in CONTENDERS if each.name == name]
    return contender
