"""What comes of each verb, whoever uses it: the rows of the caller matrix."""

from typing import Any, Final

__all__ = ["EXPECTED"]

STORY: Final = ["one", "two", "three"]
ECHOES: Final = ["echo: one", "echo: two"]

EXPECTED: Final[dict[str, Any]] = {
    "mesh.add": 0,
    "mesh.agent": 7,
    "mesh.ask": 5.0,
    "mesh.ask_of_a_sync_handler": 2.5,
    "mesh.broadcast": [True, 1],
    "mesh.call": 5,
    "mesh.dead_letters": ["unknown_agent"],
    "mesh.drain": 1,
    "mesh.publish": [1, 1],
    "mesh.ref": 7,
    "mesh.start": 7,
    "mesh.statistics": "running",
    "mesh.stop": True,
    "mesh.stream": STORY,
    "mesh.tell": 1,
    "mesh.tell_nowait": 1,
    "mesh.wait": False,
    "default_mesh": 7,
    "ref.ask": 5.0,
    "ref.call": 5,
    "ref.stream": STORY,
    "ref.tell": 1,
    "ref.tell_nowait": 1,
    "ref.using": 7,
    "stream.close": ["one", []],
    "stream.result": STORY,
    # each on the loop and in a thread, but for what only the loop has
    "context.after": [True, True],
    "context.ask": [5.0, 5.0],
    "context.broadcast": [[True, 1], [True, 1]],
    "context.call": [5, 5],
    "context.every": [True, True],
    "context.publish": [[1, 1], [1, 1]],
    "context.ref": [7],
    "context.reply": ["early", "early"],
    "context.start_soon": [True],
    "context.stream": [STORY, STORY],
    "context.tell": [1, 1],
    "context.tell_nowait": [1],
    # language models
    "agent.as_completed": [[0, "echo: one"], [1, "echo: two"]],
    "agent.ask": "echo: hi",
    "agent.complete": ["echo: hi", "stop"],
    "agent.conversation": "label",
    "agent.parts": ["TextPart", "TextPart", "TextPart", "ReplyPart"],
    "agent.send_message": "echo: hi",
    "agent.send_message_async": "echo: hi",
    "agent.send_messages": ECHOES,
    "agent.send_messages_async": ECHOES,
    "agent.stream": ["echo:", " hi", " you"],
    "answer.close": ["echo:", []],
    "answers.close": ["echo: one", []],
    "answer.result": "echo: hi",
    "conversation.clear": [],
    "conversation.complete": "echo: one",
    "conversation.history": [["user", "one"], ["assistant", "echo: one"]],
    "conversation.send": ECHOES,
    "conversation.stream": ["echo:", " hi", " you"],
}
