"""How many tokens a request may need, before anybody has counted them: rather too many than too few."""

from typing import Final

import msgspec

from ceylon.models.turns import Request, Turn

__all__ = ["tokens_in", "tokens_of_text"]

_BYTES: Final = 2  # a token; English has four, code three, Chinese and Thai two to three, digits and base64 two
_REQUEST: Final = 64  # what templates put around a conversation; some add a system prompt of their own
_TURN: Final = 8
_TOOL: Final = 16
_ATTACHMENT: Final = 2_000  # a picture, at the providers' largest; a file counts by its size, if that is more
_FILE_BYTES: Final = 8  # a token, in a PDF: most of it is no text


def tokens_in(request: Request) -> int:
    """Return how many tokens *request* has at most, near enough."""
    count = _REQUEST + sum(_of_turn(turn) for turn in request.turns)
    for tool in request.tools:
        count += _TOOL + tokens_of_text(tool.name + tool.description) + _of_json(tool.parameters)
    if request.output is not None:
        count += _TOOL + tokens_of_text(request.output.description) + _of_json(request.output.schema)
    return count


def tokens_of_text(text: str) -> int:
    """Return how many tokens *text* has at most, near enough."""
    length = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return -(-length // _BYTES)


def _of_turn(turn: Turn) -> int:
    count = _TURN + tokens_of_text(turn.text)
    if turn.thinking:
        count += tokens_of_text(turn.thinking)
    if not (turn.calls or turn.results or turn.attachments):  # most of a long conversation
        return count
    count += sum(_TOOL + tokens_of_text(call.name + call.invalid) + _of_json(call.arguments) for call in turn.calls)
    count += sum(_TOOL + tokens_of_text(result.name + result.text) for result in turn.results)
    return count + sum(max(_ATTACHMENT, len(each.content) // _FILE_BYTES) for each in turn.attachments)


def _of_json(value: object) -> int:
    return -(-len(msgspec.json.encode(value, enc_hook=repr)) // _BYTES)
