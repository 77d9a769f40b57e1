"""No key is in what is printed, logged, raised or kept, whatever goes wrong: twelve of them through every failure."""

import logging
import traceback
from collections.abc import Iterator
from typing import Any, Final

import pytest

from ceylon import HandlerError, LlmAgent, Mesh
from ceylon.models import statuses
from ceylon.models.secret import Secret
from ceylon.testing.model_server import Fault, ModelServer
from support.dialects import WAYS, dialect
from support.llm import impatient

CANARIES: Final = {
    "the agent's own key": "canary-0a-own",
    "a bearer": "canary-1b-bearer",
    "a header": "canary-2c-header",
    "a parameter": "canary-3d-parameter",
    "a cookie": "canary-4e-cookie",
    "a cookie that is set": "canary-5f-set-cookie",
    "a token": "canary-6g-token",
    "a password": "canary-7h-password",
    "what looks like a key": "sk-canary8ilooks",
    "a field": "canary-9j-field",
    "a query": "canary-ak-query",
    "another provider's key": "canary-bl-environment",
}
OWN: Final = CANARIES["the agent's own key"]
ECHO: Final = (
    f"you sent {OWN}; Authorization: Bearer {CANARIES['a bearer']}, x-api-key: {CANARIES['a header']}, "
    f"api_key={CANARIES['a parameter']}, cookie: {CANARIES['a cookie']}, token={CANARIES['a token']} "
    f"password={CANARIES['a password']} {CANARIES['what looks like a key']} 'api_key': '{CANARIES['a field']}' "
    f"http://box/?key={CANARIES['a query']}"
)
_JSON: Final = f'{{"type":"error","error":{{"message":"{ECHO}","type":"x","code":"y"}}}}'.encode()
_COOKIE: Final = {"set-cookie": f"session={CANARIES['a cookie that is set']}", "location": f"http://box/?key={OWN}"}
TRIES: Final = 8  # more than are made of one request
FAULTS: Final = (
    *(
        Fault(status=status, body=_JSON, headers=_COOKIE)
        for status in (301, 400, 401, 403, 404, 413, 422, 429, 500, 529)
    ),
    Fault(status=503, body=ECHO.encode()),
    Fault(body=_JSON),
    Fault(body=ECHO.encode()),
    Fault(body=f'{{"broken": "{ECHO}'.encode()),
    Fault(body=f'["{ECHO}"]'.encode(), headers=_COOKIE),
    Fault(body=b"<p>" + ECHO.encode(), headers={"content-type": "text/html"}),
    Fault(headers={"content-encoding": OWN}),
    Fault(raw=ECHO.encode() + b"\r\n\r\n"),
    Fault(raw=b"HTTP/1.1 200 OK\r\nset-cookie: key=" + OWN.encode() + b"\r\n"),
    Fault(cut_at=9, headers=_COOKIE),
    Fault(reset=True),
)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Return a dialect and a way of asking."""
    found: str = request.param
    return found


@pytest.fixture(autouse=True)
def keys_in_the_environment(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    monkeypatch.setenv("GROQ_API_KEY", CANARIES["another provider's key"])


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error* and what it came from; a context may lead back to where it began."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]


def shown(error: BaseException) -> Iterator[str]:
    """Yield every way in which *error* is written down."""
    yield "".join(traceback.format_exception(error))
    for each in chain(error):
        yield from (str(each), repr(each), f"{each.args!r}", f"{vars(each)!r}")


async def everything(way: str, fault: Fault, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return all that can be read of an agent, its mesh and its log after *fault*."""
    name, _, kind = way.rpartition("-")
    texts: list[str] = []
    with ModelServer() as server, caplog.at_level(logging.DEBUG):
        url = server.openai_url if name.startswith("openai") else server.base_url
        async with Mesh(settings=impatient()) as mesh:
            agent = LlmAgent("tutor", f"{name}::test-model", base_url=url, api_key=OWN)
            tutor = mesh.add(agent)
            server.fail(*[fault] * TRIES)
            with pytest.raises(Exception) as caught:  # noqa: PT011 – whatever it is
                if kind == "whole":
                    await tutor.ask("hi")
                else:
                    await agent.stream("hi").result()
            root = caught.value.root if isinstance(caught.value, HandlerError) else caught.value
            texts += [*shown(caught.value), *shown(root)]
            server.fail(*[fault] * TRIES)
            await tutor.tell("hi")  # fails too, and is kept
            await mesh.drain()
            letters = mesh.dead_letters()
            texts += [repr(letter) + repr(vars(letter) if hasattr(letter, "__dict__") else "") for letter in letters]
            settings = agent.__ceylon_llm_setup__.settings
            texts += [
                repr(each)
                for each in (agent, tutor, mesh, mesh.statistics(), settings, settings.resolve(), mesh.waits())
            ]
            texts += [f"{settings}", f"{settings.api_key}", f"{settings.fingerprint()!r}"]
        texts += [f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records]
    caplog.clear()
    return texts


def hits(texts: list[str]) -> set[str]:
    """Return the canaries that are somewhere in *texts*."""
    return {name for name, canary in CANARIES.items() if any(canary in text for text in texts)}


async def test_no_key_is_in_anything_that_can_be_read_after_a_failure(
    way: str, caplog: pytest.LogCaptureFixture, anyio_backend: str
) -> None:
    if anyio_backend == "trio":
        return  # nothing is printed by a loop
    paths = 0
    for fault in FAULTS:
        texts = await everything(way, fault, caplog)
        assert hits(texts) == set(), fault
        paths += len(texts)
    assert paths > 300


async def test_without_redaction_the_canaries_are_found(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statuses, "redact", lambda words, *_, **__: words)

    found = hits(await everything("openai-whole", Fault(status=400, body=_JSON), caplog))

    assert len(found) >= 9
    assert OWN in ECHO


def test_an_own_key_is_masked_in_every_way_of_writing_it_down() -> None:
    secret = Secret(OWN)

    assert not [
        text for text in (f"{secret}", f"{secret!r}", f"{[secret]}", f"{secret}", str({1: secret})) if OWN in text
    ]


def test_the_faults_are_tried_on_every_dialect() -> None:
    assert {way.rpartition("-")[0] for way in WAYS} == {"openai", "ollama", "anthropic", "gemini", "openai-responses"}
    assert dialect("gemini").name == "gemini"
    assert len(set(CANARIES.values())) == 12


async def test_what_is_said_of_a_wrong_setting_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (f"http://tea:{OWN}@box/v1", f"http://box/v1?key={OWN}", f"http://box /v1?key={OWN}"):
        agent: Any = LlmAgent("tutor", "openai::m", base_url=address, api_key=f"{OWN} \n x")
        with pytest.raises(Exception) as caught:  # noqa: PT011 – whatever it is
            agent.build()
        assert OWN not in "".join(shown(caught.value))
