"""What a server's refusal becomes."""

import email.utils
import time

import pytest

from ceylon.errors import ModelAuthError, ModelRateLimitError, ModelStatusError
from ceylon.models.endpoint import Endpoint
from ceylon.models.secret import Secret
from ceylon.models.statuses import retry_after, status_error, words_of

ENDPOINT = Endpoint(model="openai::m", base_url="http://host", advice="", key=Secret("sk-canary-4711"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("2", 2.0),
        ("2.5", 2.5),
        ("61", 61.0),
        ("1e9", 1e9),
        ("-1", 0.0),
        ("NaN", None),
        ("inf", None),
        ("1e400", None),
        ("garbage", None),
        ("", None),
        ("1, 2", 1.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_finite_and_never_negative(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": header}) == seconds


def test_retry_after_reads_a_date_to_come() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)

    assert retry_after({"retry-after": date}) == pytest.approx(100, abs=5)


def test_retry_after_prefers_milliseconds() -> None:
    assert retry_after({"retry-after-ms": "1500", "retry-after": "60"}) == 1.5
    assert retry_after({"retry-after-ms": "soon", "retry-after": "60"}) == 60


def test_no_header_is_no_wish() -> None:
    assert retry_after({}) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"text"}', "text"),
        (b'{"error":{"message":"text","type":"t"}}', "text"),
        (b'[{"error":{"message":"text"}}]', "text"),
        (b'{"message":"text"}', "text"),
        (b'{"detail":"text"}', "text"),
        (b"text", "text"),
        (b'{"error":{"code":7}}', '{"error":{"code":7}}'),
        (b'{"detail":[{"loc":1}]}', '{"detail":[{"loc":1}]}'),
        (b"[]", "[]"),
        (b"null", "null"),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_the_servers_own_words_are_found_in_any_dialect(body: bytes, words: str) -> None:
    assert words_of(body) == words


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelStatusError),
        (401, ModelAuthError),
        (403, ModelAuthError),
        (404, ModelStatusError),
        (413, ModelStatusError),
        (422, ModelStatusError),
        (429, ModelRateLimitError),
        (500, ModelStatusError),
        (529, ModelStatusError),
    ],
)
def test_a_status_has_its_kind_and_the_words(status: int, kind: type[ModelStatusError]) -> None:
    error = status_error(ENDPOINT, status, b'{"error":"no, sk-canary-4711"}', {"retry-after": "3"})

    assert type(error) is kind
    assert (error.status, error.body, error.retry_after) == (status, "no, ****", 3.0)
    assert "openai::m" in str(error)
    assert str(status) in str(error)


def test_a_redirect_says_where_it_would_have_gone() -> None:
    error = status_error(ENDPOINT, 307, b"", {"location": "http://other/?key=sk-canary-4711"})

    assert "http://other/" in error.body
    assert "sk-canary" not in error.body


def test_a_refusal_without_words_says_so() -> None:
    assert status_error(ENDPOINT, 500, b"", {}).body == "(no words)"
