# ceylonai-next 0.3.6: memories, by hand and by the model of an agent.
import asyncio

from ceylon.compat import InMemoryBackend, LlmAgent, Memory, MemoryEntry, MemoryQuery

notes = InMemoryBackend.with_max_entries(3)
entry = MemoryEntry("Colombo is the largest city of Sri Lanka")
entry.with_metadata("topic", "cities")
entry.with_metadata("tags", ["capital", 1, None])
entry_id = notes.store(entry)
notes.store(MemoryEntry("Kandy lies in the hills").with_metadata("topic", "cities"))
notes.store(MemoryEntry("Tea grows in the hills").with_metadata("topic", "plants"))

found = notes.get(entry_id)
print(found.content, found.metadata["tags"], found.expires_at, found.is_expired())
print([each.content for each in notes.search(MemoryQuery().with_filter("topic", "cities"))])
print([each.content for each in notes.search(MemoryQuery().with_limit(1))])
notes.store(MemoryEntry("Rice grows in the plains"))
print(notes.count(), notes.get(entry_id), notes.delete(entry_id))

brief = InMemoryBackend.with_ttl_seconds(3600)
brief_id = brief.store(MemoryEntry("soon forgotten"))
print(brief.get(brief_id).expires_at is not None, brief.get("nothing"))


class Book(Memory):
    def __init__(self):
        self.pages = {}

    def store(self, entry):
        self.pages[entry.id] = entry
        return entry.id

    def get(self, id):
        return self.pages.get(id)

    def search(self, query):
        return list(self.pages.values())

    def delete(self, id):
        return self.pages.pop(id, None) is not None

    def clear(self):
        self.pages.clear()

    def count(self):
        return len(self.pages)


async def main(memory):
    agent = LlmAgent("librarian", "ollama::gemma3:latest", memory)
    agent.build()
    await agent.send_message("Remember: the sea is blue")
    print(memory.count())
    print(await agent.send_message("What do you know about blue?"))


asyncio.run(main(InMemoryBackend()))
asyncio.run(main(Book()))
