"""Read HTTP/1.1 answers with llhttp, as httptools brings it, and hold it to what a client must ask of it.

Lenient only where h11 is too, so that no server is lost with the extra `speed`: a bare line feed, a length beside
chunks, blanks after a chunk's size. Those harm where requests share a connection, which they never do here.
"""

from typing import Final

import httptools

__all__ = ["AnswerParser"]

_MOST_OVERHEAD: Final = 100 * 1024  # of headers, trailers, chunk sizes without a byte of body between: what h11 gets
_FINAL: Final = 200
_be_lenient: Final = httptools.HttpResponseParser.set_dangerous_leniencies  # looked up now: an old one has none


class AnswerParser:
    """One answer after the other, on one connection: `begin`, `feed`, then `has_head`, `take` and `is_complete`.

    What is wrong is kept as `fault` and not raised: the body before it comes first.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        _be_lenient(
            self._parser,
            lenient_optional_cr_before_lf=True,
            lenient_chunked_length=True,
            lenient_spaces_after_chunk_size=True,
        )
        self.begin()

    def begin(self) -> None:
        """Expect the next answer."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.fault = ""
        self.has_head = self.is_complete = False
        self.is_new, self._keeps = True, False  # new: not a byte has come
        self._pieces: list[bytes] = []
        self._overhead = 0

    @property
    def can_go_on(self) -> bool:
        """Whether the connection can carry another request."""
        return self.is_complete and self._keeps

    def take(self) -> bytes:
        """Return the bytes of the body that have come and are not taken yet."""
        pieces = self._pieces
        if len(pieces) == 1:
            return pieces.pop()
        body = b"".join(pieces)
        pieces.clear()
        return body

    def feed(self, data: bytes) -> None:
        """Read on."""
        self.is_new = False
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end_with("it switches to another protocol")
        except httptools.HttpParserError as error:
            self._end_with(str(error) or "it breaks the protocol")
        if self._overhead > _MOST_OVERHEAD:
            self._end_with("its headers have no end")

    def feed_end(self) -> None:
        """There is no more; an answer without a measure of its own is whole now, any other is not."""
        if self.is_complete:
            return
        if not self.has_head:
            self._end_with("Server disconnected without sending a response.")
        elif any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in self.headers):
            self._end_with("the connection was closed before the answer was complete")
        else:
            self.is_complete = True

    def _end_with(self, fault: str) -> None:
        """Note what is wrong; after the end of the answer that only costs the connection."""
        if self.is_complete:
            self._keeps = False
        else:
            self.fault = self.fault or fault

    # -- what llhttp reports

    def on_message_begin(self) -> None:
        """Take note of another answer, which nobody asked for."""
        if self.is_complete:
            self._keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, but no trailer."""
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head, but not of an answer that only announces the real one."""
        status = self._parser.get_status_code()
        if self.has_head or status < _FINAL:
            return
        if not self._parser.get_http_version().startswith("1."):
            self._end_with("it answers in another version of HTTP")
            return
        self.status, self.has_head = status, True
        self._keeps = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if not self.is_complete:
            self._overhead = 0
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """End the answer, unless it was only an announcement."""
        if self.has_head:
            self.is_complete = True
        else:
            self.headers.clear()
