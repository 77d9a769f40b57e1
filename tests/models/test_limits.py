"""What headers and bodies say of limits and pauses, in every provider's way of saying it, and in none."""

import email.utils
import time
from collections.abc import Mapping

import msgspec
import pytest

from ceylon.models.endpoint import Endpoint
from ceylon.models.governor.bucket import Bucket
from ceylon.models.governor.limits import Limits, Quota, read_limits
from ceylon.models.statuses import retry_after, status_error

NOW = "Thu, 26 Nov 2026 11:00:00 GMT"
ENDPOINT = Endpoint(model="openai::m", base_url="https://there", advice="")


def headers(**said: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in said.items()]


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("1s", 1.0), ("6m30s", 390.0), ("12ms", 0.012), ("1h0m0.5s", 3600.5), ("7.66", 7.66), ("0", 0.0)],
)
def test_openai_s_durations_are_read(words: str, seconds: float) -> None:
    found = read_limits(
        headers(X_RateLimit_Limit_Requests="60", x_ratelimit_remaining_requests="59", x_ratelimit_reset_requests=words)
    )

    assert found == Limits(requests=Quota(60.0, 59.0, seconds))


@pytest.mark.parametrize("words", ["", "soon", "1x", "-1s", "nan", "inf", "9e99", "99999999h", "1s later"])
def test_a_duration_that_is_none_leaves_the_limit(words: str) -> None:
    found = read_limits(
        headers(x_ratelimit_limit_tokens="60", x_ratelimit_remaining_tokens="59", x_ratelimit_reset_tokens=words)
    )

    assert found == Limits(tokens=Quota(60.0, 59.0))


def test_anthropic_s_moments_are_reckoned_by_its_own_clock() -> None:
    found = read_limits(
        headers(
            anthropic_ratelimit_input_tokens_limit="40000",
            anthropic_ratelimit_input_tokens_remaining="39000",
            anthropic_ratelimit_input_tokens_reset="2026-11-26T11:00:30Z",
            anthropic_ratelimit_output_tokens_limit="8000",
            anthropic_ratelimit_output_tokens_remaining="8000",
            anthropic_ratelimit_output_tokens_reset="garbage",
            date=NOW,
        )
    )

    assert found == Limits(input=Quota(40000.0, 39000.0, 30.0), output=Quota(8000.0, 8000.0))


@pytest.mark.parametrize(("limit", "remaining"), [("0", "0"), ("-1", "-1"), ("60", "-1"), ("nan", "1"), ("x", "1")])
def test_figures_that_mean_nothing_are_passed_over(limit: str, remaining: str) -> None:
    assert read_limits(headers(x_ratelimit_limit_requests=limit, x_ratelimit_remaining_requests=remaining)) is None


def test_most_servers_say_nothing() -> None:
    assert read_limits(headers(content_type="application/json", date=NOW, x_ratelimit_what="?")) is None


# -- pauses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-86_400, 0, 86_400])
@pytest.mark.parametrize("seconds", [-30, 0, 17, 3_600])
def test_a_date_to_wait_for_is_reckoned_by_the_server_s_own_clock(skew: int, seconds: int) -> None:
    served = time.time() + skew
    said = {
        "date": email.utils.formatdate(served, usegmt=True),
        "retry-after": email.utils.formatdate(served + seconds, usegmt=True),
    }

    assert retry_after(said) == pytest.approx(max(0, seconds), abs=1.01)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("0", 0.0), ("2", 2.0), ("61", 61.0), ("1e9", 1e9), ("-1", 0.0), ("NaN", None), ("inf", None), ("soon", None)],
)
def test_a_number_to_wait_for_is_finite_and_never_negative(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}) == seconds


def error_of(body: object, headers: Mapping[str, str] = {}) -> tuple[float | None, str, bool | None]:
    error = status_error(ENDPOINT, 429, msgspec.json.encode(body), headers)
    return error.retry_after, error.code, error.should_retry


def test_gemini_s_pause_is_in_the_body() -> None:
    details = [
        {"@type": "Help", "links": []},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"},
    ]
    body = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": details}}

    assert error_of(body) == (17.0, "RESOURCE_EXHAUSTED", None)
    assert error_of([body], {"retry-after": "3"}) == (3.0, "RESOURCE_EXHAUSTED", None)


def test_names_of_errors_are_kept_wherever_they_stand() -> None:
    assert error_of({"error": {"code": "insufficient_quota", "type": "insufficient_quota"}})[1].split()[0] == (
        "insufficient_quota"
    )
    spent = {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}
    assert "enforced_spend_limit_reached" in error_of({"type": "error", "error": spent})[1]


@pytest.mark.parametrize(
    "body", [None, [], [[]], "x", {"error": None}, {"error": []}, {"error": {"details": [None, 7, {"retryDelay": 7}]}}]
)
def test_bodies_of_any_shape_are_borne(body: object) -> None:
    assert error_of(body) == (None, "", None)


@pytest.mark.parametrize(("said", "wanted"), [("true", True), ("False", False), ("maybe", None), ("", None)])
def test_what_a_server_says_of_another_try_is_kept(said: str, wanted: bool | None) -> None:  # noqa: FBT001 – a parameter
    assert error_of({}, {"x-should-retry": said})[2] is wanted


# -- buckets -----------------------------------------------------------------------------------------------------------


def test_a_bucket_holds_nothing_back_before_anything_is_known() -> None:
    assert Bucket().ready_at(1e12, 5.0) == 5.0


def test_a_bucket_fills_up_at_the_rate_the_provider_has_told() -> None:
    bucket = Bucket()
    bucket.learn(Quota(100, 0, 50), 0.0)

    assert bucket.ready_at(10, 0.0) == 5.0
    assert bucket.ready_at(1e9, 0.0) == 50.0  # all there ever is
    assert bucket.ready_at(10, 6.0) == 6.0
    bucket.take(10, 6.0)
    assert bucket.ready_at(10, 6.0) == pytest.approx(10.0)
    bucket.give_back(8)
    assert bucket.ready_at(10, 6.0) == 6.0


def test_of_two_counts_the_lower_one_holds() -> None:
    bucket = Bucket()
    bucket.learn(Quota(100, 50, 30), 0.0)
    bucket.take(20, 0.0)
    bucket.learn(Quota(100, 49, 30.6), 0.0)  # as an answer says that was sent before

    assert bucket.ready_at(31, 0.0) > 0.0
