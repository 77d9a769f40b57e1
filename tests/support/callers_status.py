"""`ASYNC_STATUS.md`, read: which tests it names as proof, and which verbs it has a row for."""

import fnmatch
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import ceylon
from ceylon import Agent, LlmAgent

__all__ = ["STATUS", "Proof", "Status", "complaints", "public_verbs", "read_status", "verb_classes"]

STATUS: Final = Path(__file__).parents[2] / "ASYNC_STATUS.md"

_LINK: Final = re.compile(r"\[`?([^\]`]+)`?\]\((tests/[^)]+\.py)\)")
_VERB: Final = re.compile(r"`([A-Z]\w+\.\w+|default_mesh)`")


class Proof(msgspec.Struct, frozen=True):
    """Tests named by a cell: those of the file at *path* whose name, or parameters, match *pattern*."""

    row: str
    pattern: str
    path: str

    def find(self, nodeids: Iterable[str]) -> list[str]:
        """Return which of *nodeids* are meant."""
        return [nodeid for nodeid in nodeids if self._is_meant(nodeid)]

    def _is_meant(self, nodeid: str) -> bool:
        path, _, test = nodeid.partition("::")
        name, _, parameters = test.partition("[")
        meant = (name, parameters.removesuffix("]"))
        return path == self.path and any(fnmatch.fnmatchcase(part, self.pattern) for part in meant if part)


class Status(msgspec.Struct, frozen=True):
    """What the page says."""

    proofs: list[Proof]
    verbs: set[str]
    bare: list[str]
    """Cells without a proof."""


def read_status(text: str) -> Status:
    """Read the tables of the page; in each, the first column says what and the others prove it."""
    proofs, verbs, bare = list[Proof](), set[str](), list[str]()
    for head, row, cells in _rows(text):
        if head == "verb":
            verbs.update(_VERB.findall(row))
        for cell in cells:
            found = [Proof(row, pattern, path) for pattern, path in _LINK.findall(cell)]
            proofs += found
            if not found:
                bare.append(f"{row}: {cell or 'an empty cell'}")
    return Status(proofs, verbs, bare)


def _rows(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield what each table's first column is called, with the first and the other cells of each row."""
    head = ""
    for line in text.splitlines():
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            head = ""
        elif not head:
            head = first
        elif set(line) - set("|-: "):
            yield head, first, cells


def complaints(status: Status, outcomes: Mapping[str, str]) -> list[str]:
    """Return the named tests whose outcome, by node id, is another than passed; those without one are not judged."""
    named = {nodeid: proof for proof in status.proofs for nodeid in proof.find(outcomes)}
    return [
        f"{proof.row}: {nodeid} {outcomes[nodeid]}" for nodeid, proof in named.items() if outcomes[nodeid] != "passed"
    ]


# -- the verbs there are -----------------------------------------------------------------------------------------------

PACKAGE: Final = "for code of this package"
SETTING: Final = "it only sets something: nothing is sent, no loop is needed"

NO_VERBS: Final[Mapping[str, str]] = {
    "*Context.begin_wait": PACKAGE,
    "*Context.end_wait": PACKAGE,
    "*Context.give_reply": PACKAGE,
    "*Mesh.svg": "what `draw` gives, rendered by the caller: no loop is needed",
    "BlockingMesh.of": PACKAGE,
    "LlmAgent.batch": PACKAGE,
    "LlmAgent.build": SETTING,
    "LlmAgent.on_message": "a handler",
    "LlmAgent.override": SETTING,
    "LlmAgent.prompt": "for subclasses, to say what a message is as a prompt",
    "LlmAgent.rise": PACKAGE,
    "LlmAgent.sit": PACKAGE,
    "LlmAgent.with_*": SETTING,
    "BlockingMesh.stop_soon": PACKAGE,
    "Mesh.begin_stop": PACKAGE,
    "Mesh.stop_for": PACKAGE,
    "Mesh.stop_soon": PACKAGE,
    "Mesh.tell_end": PACKAGE,
}
"""Public functions of the classes below that are no verbs, and why."""


def verb_classes() -> list[type]:
    """Return the classes that callers hold: the exported ones, and those that a language model's agent hands out."""
    agent = LlmAgent("tutor", "openai::test-model", api_key="sk-none")
    handed_out: list[Any] = [
        each
        for verbs in (agent, agent.blocking)
        for each in (verbs, verbs.conversation("key"), verbs.stream("hi"), verbs.as_completed(["hi"]))
    ]
    held = [
        ceylon.Mesh,
        ceylon.BlockingMesh,
        ceylon.Ref,
        ceylon.BlockingRef,
        ceylon.Stream,
        ceylon.BlockingStream,
        ceylon.Request,
    ]
    return [*held, ceylon.Context, ceylon.BlockingContext, *(type(each) for each in handed_out)]


def public_verbs() -> set[str]:
    """Return every verb of every class that callers hold, as `Class.verb`, and the functions that are verbs."""
    verbs = {f"{cls.__name__}.{name}" for cls in verb_classes() for name in _functions(cls)}
    return {
        "default_mesh",
        *(verb for verb in verbs if not any(fnmatch.fnmatchcase(verb, other) for other in NO_VERBS)),
    }


def _functions(cls: type) -> Iterator[str]:
    """Yield the public functions of *cls* but for its handlers, and for what every agent has because meshes want it."""
    of_every_agent = set(dir(Agent)) if issubclass(cls, Agent) else set[str]()
    for name, member in inspect.getmembers(cls, callable):
        is_handler = hasattr(member, "__ceylon_on__")
        if not name.startswith("_") and name not in of_every_agent and not is_handler and not inspect.isclass(member):
            yield name
