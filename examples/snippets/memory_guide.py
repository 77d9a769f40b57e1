"""The code of docs/guides/memory.md: every section runs."""
# ruff: noqa: D102, D103 – a snippet is documented by the page it stands in

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ceylon import LlmAgent, Mesh
from ceylon.agents.conversations.sqlite import SqliteConversations
from ceylon.agents.conversations.summary import Summarise
from ceylon.agents.conversations.window import Window
from ceylon.agents.remembering import Recall
from ceylon.memory.embedded import EmbeddedMemory
from ceylon.memory.in_memory import InMemory
from ceylon.memory.port import Entry, Memory, Note, Query, Recalled, Where
from ceylon.memory.splitting import notes_of
from ceylon.memory.sqlite import SqliteMemory
from ceylon.models.embedding import open_embedder
from ceylon.testing import HashingEmbedder
from ceylon.testing.contracts import memory_contract


async def agents(folder: Path) -> None:
    # --8<-- [start:agent]
    memory = SqliteMemory(folder / "memory.db")
    tutor = LlmAgent("tutor", "auto", max_tokens=24, memory=memory)

    await memory.remember("tutor", Note(text="Ada likes Assam, without milk.", source="a letter"))
    print(await tutor.send_message_async("How does Ada like her Assam?"))
    # --8<-- [end:agent]

    # --8<-- [start:recall]
    own = Recall(
        inject=3,  # entries put before a question
        actions=False,  # nothing for the model to call
        scope="conversation",  # what Alice said is not told to Bob
        where=(Where("kind", "==", "preference"),),
        ttl=30 * 24 * 3600,
    )
    tutor.with_memory(memory, own)
    # --8<-- [end:recall]
    await memory.aclose()


async def entries() -> None:
    # --8<-- [start:verbs]
    memory = InMemory()
    notes = memory.notebook("tutor")  # the entries of one owner

    entry = await notes.remember("Assam is strong.", metadata={"kind": "tea", "grams": 100}, source="tea.md", ttl=3600)
    await notes.remember_all([Note(text="Sencha is green.", id="sencha"), Note(text="Cups break.")])

    for found in await notes.recall("which tea is strong?"):
        print(found.entry.text, found.entry.source, round(found.score, 3))
    teas = (Where("kind", "==", "tea"), Where("grams", ">=", 50))
    print(await notes.count(teas), "of", await notes.count())
    print(await notes.get(entry.id, "sencha"))
    print(await notes.forget(entry.id, "sencha"), "forgotten")
    # --8<-- [end:verbs]


async def vectors(folder: Path) -> None:
    # --8<-- [start:vectors]
    embedder = HashingEmbedder()  # or "ollama::nomic-embed-text", "text-embedding-3-small", "local::smollm2", …
    async with (
        open_embedder(embedder) as session,
        EmbeddedMemory(SqliteMemory(folder / "vectors.db"), session.embed) as memory,
    ):
        notes = memory.notebook("tutor")
        await notes.remember("The harvest begins in March.")
        print([found.entry.text for found in await notes.recall("when does the harvest begin?")])
    # --8<-- [end:vectors]


async def conversations(folder: Path) -> None:
    # --8<-- [start:conversations]
    store = SqliteConversations(folder / "conversations.db")
    tutor = LlmAgent("tutor", "auto", max_tokens=8, conversations=store)

    async with Mesh("school") as mesh:
        mesh.add(tutor)
        await tutor.conversation("ada").send("I am Ada.")
    # … another process, another day, the same file:
    async with Mesh("school") as mesh:
        mesh.add(tutor)
        print(len(await tutor.conversation("ada").history()), "turns")
    # --8<-- [end:conversations]

    # --8<-- [start:history]
    tutor.with_history(Window(turns=40, tokens=4_000))  # the model sees the end, the store keeps all
    tutor.with_history(Summarise(after=60, keep=20))  # what is older becomes a summary, in the store too
    # --8<-- [end:history]
    await store.aclose()


async def documents(folder: Path) -> None:
    # --8<-- [start:documents]
    async with SqliteMemory(folder / "files.db") as memory, Mesh("library") as mesh:
        files = memory.notebook("files")
        for name, text in {"tea.md": "# Tea\n\nAssam is strong.", "cups.md": "# Cups\n\nCups break."}.items():
            await files.remember_all(notes_of(text, name))

        recall = Recall(inject=2, actions=False, namespace="files")
        librarian = LlmAgent("librarian", "auto", max_tokens=16, memory=memory, recall=recall)
        mesh.add(librarian)
        question = "How strong is Assam?"
        print(await librarian.send_message_async(question))
        for found in await files.recall(Query(text=question, limit=2)):
            print("source:", found.entry.source, found.entry.metadata["heading"])
    # --8<-- [end:documents]


# --8<-- [start:own]
class Careful(Memory):
    """Remembers nothing that looks like a key."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        kept = [note for note in notes if "sk-" not in note.text]
        return await self._memory.remember(namespace, *kept)

    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        return await self._memory.recall(namespace, query)

    async def forget(self, namespace: str, *ids: str) -> int:
        return await self._memory.forget(namespace, *ids)

    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        return await self._memory.entries(namespace, where, limit=limit)

    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        return await self._memory.count(namespace, where)


async def test_a_careful_memory_keeps_the_contract() -> None:
    await memory_contract(Careful(InMemory()))


# --8<-- [end:own]


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await agents(folder)
        await entries()
        await vectors(folder)
        await conversations(folder)
        await documents(folder)
        await test_a_careful_memory_keeps_the_contract()


if __name__ == "__main__":
    asyncio.run(main())
