"""Questions about the files in a folder: they are cut into chunks, remembered, and found again for each question.

    python examples/demo_rag.py [--model ollama::gemma3:latest] [--embedder ollama::nomic-embed-text] [--folder docs]

The files here are Ceylon's own documentation. Chunks are found by their words; with an embedding model also by their
meaning. Every answer comes with the places it is taken from.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ceylon import LlmAgent, Mesh, ModelError
from ceylon.agents.remembering import Recall
from ceylon.memory.embedded import EmbeddedMemory
from ceylon.memory.port import Memory, Notebook, Query
from ceylon.memory.splitting import notes_of
from ceylon.memory.sqlite import SqliteMemory
from ceylon.models.embedding import open_embedder

DOCS = Path(__file__).resolve().parents[1] / "docs"
QUESTIONS = (
    "What happens to a tell when the mailbox is full?",
    "How do I restart an agent after a failure?",
)
CHUNKS = 2  # put before each question: a small model reads no more


async def main(model: str, embedder: str | None, folder: Path) -> None:
    """Read the files, then answer questions about them."""
    async with open_memory(embedder) as memory, Mesh("library") as mesh:
        files = memory.notebook("files")
        heading("Read")
        await read_folder(folder, files)

        librarian = LlmAgent(
            "librarian",
            model,
            system_prompt="Answer from the notes only, in one sentence.",
            temperature=0.0,
            max_tokens=32,
            memory=memory,
            recall=Recall(inject=CHUNKS, actions=False, namespace="files", characters=2_000),
        )
        mesh.add(librarian)
        for question in QUESTIONS:
            heading(question)
            answer = await librarian.send_message_async(question)
            print(" ".join(answer.split()))
            for found in await files.recall(Query(text=question, limit=CHUNKS)):
                place = found.entry.metadata
                print(f"  source: {found.entry.source}, chunk {place['chunk']}, under {place.get('heading', '-')!r}")


async def read_folder(folder: Path, files: Notebook) -> None:
    """Remember every Markdown file of *folder* in chunks; one that has been read before replaces itself."""
    for name, text in await asyncio.to_thread(documents, folder):
        notes = notes_of(text, name, is_trusted=True)  # nobody else writes here
        await files.remember_all(notes)
        print(f"{name}: {len(notes)} chunks")
    print(f"{await files.count()} chunks together")


def documents(folder: Path) -> list[tuple[str, str]]:
    """Return the name and the text of every file."""
    paths = sorted(folder.rglob("*.md"))
    return [(path.relative_to(folder.parent).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


@asynccontextmanager
async def open_memory(embedder: str | None) -> AsyncIterator[Memory]:
    """Open a memory that finds by words, and by meaning too if there is an embedding model."""
    async with AsyncExitStack() as stack:
        memory: Memory = await stack.enter_async_context(SqliteMemory(":memory:"))
        if embedder is not None:
            session = await stack.enter_async_context(open_embedder(embedder))
            memory = EmbeddedMemory(memory, session.embed)
        yield memory


def heading(text: str) -> None:
    """Print *text* as the beginning of a section."""
    print(f"\n{text}\n{'-' * len(text)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Questions about the files in a folder.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    parser.add_argument("--embedder", help="provider::model that finds by meaning; default: by words only")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where the Markdown files are")
    given = parser.parse_args()
    try:
        asyncio.run(main(given.model, given.embedder, given.folder.resolve()))
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
