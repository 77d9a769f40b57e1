"""Requests in the spelling of `ceylonai-next`: submitted now, collected later."""

import pytest

from ceylon.compat import LocalMesh
from support.compat import Echo, SlowEcho, echoing_llm


@pytest.fixture
def slow(mesh: LocalMesh) -> SlowEcho:
    mesh.add_agent(made := SlowEcho())
    return made


def test_a_request_is_pending_until_it_is_answered(mesh: LocalMesh, slow: SlowEcho) -> None:
    request = mesh.submit("slow", "work")
    (pending,) = mesh.get_pending()

    assert (pending.id, pending.target, pending.payload, pending.reminder_count) == (request, "slow", "work", 0)
    assert 0 <= pending.elapsed_seconds < 60
    assert repr(pending) == f"MeshRequest(id={request!r}, target='slow', elapsed={pending.elapsed_seconds:.1f}s)"
    assert (mesh.has_pending(), mesh.peek_results(), mesh.get_results()) == (True, [], [])

    slow.go.set()
    result = mesh.wait_for(request)
    assert (result.request_id, result.target, result.response, result.error) == (request, "slow", "echo: work", None)
    assert (mesh.has_pending(), mesh.get_pending()) == (False, [])
    assert repr(result) == f"MeshResult(request_id={request!r}, duration={result.duration_ms}ms)"


def test_a_result_is_collected_once(mesh: LocalMesh, slow: SlowEcho) -> None:
    slow.go.set()
    first, second = mesh.submit("slow", "a"), mesh.submit("slow", "b")
    mesh.process_messages()

    assert [each.request_id for each in mesh.peek_results()] == [first, second]
    assert [each.response for each in mesh.get_results()] == ["echo: a", "echo: b"]
    assert mesh.get_results() == []
    with pytest.raises(RuntimeError, match=first):
        mesh.wait_for(first)


def test_all_that_is_under_way_is_collected(mesh: LocalMesh, slow: SlowEcho) -> None:
    mesh.add_llm_agent(echoing_llm())
    slow.go.set()
    asked = [mesh.submit("slow", "a"), mesh.submit("llm", "b"), mesh.submit_sync("slow", "c")]

    results = mesh.collect_results()

    assert {each.request_id: each.response for each in results} == dict(
        zip(asked, ["echo: a", "2: b", "echo: c"], strict=True)
    )


def test_a_request_that_takes_too_long_goes_on(mesh: LocalMesh, slow: SlowEcho) -> None:
    request = mesh.submit("slow", "work")

    with pytest.raises(RuntimeError, match=request):
        _ = mesh.wait_for_sync(request, timeout=0.01)

    slow.go.set()
    assert mesh.wait_for_sync(request).response == "echo: work"


def test_a_query_that_takes_too_long_is_over(mesh: LocalMesh, slow: SlowEcho) -> None:
    with pytest.raises(RuntimeError, match="slow"):
        _ = mesh.query("slow", "work", timeout=0.01)

    slow.go.set()
    mesh.process_messages()
    assert (mesh.get_pending(), mesh.get_results()) == ([], [])


def test_a_failure_is_raised_by_what_asks_for_one_and_told_by_what_collects(mesh: LocalMesh) -> None:
    class Broken(Echo):
        def on_message(self, message: object, context: object = None) -> object:
            raise LookupError(message)

    mesh.add_agent(Broken("broken"))

    with pytest.raises(RuntimeError, match="work"):
        _ = mesh.query("broken", "work")
    with pytest.raises(RuntimeError, match="more"):
        mesh.wait_for(mesh.submit("broken", "more"))
    mesh.submit("broken", "most")
    (result,) = mesh.collect_results()
    assert result.response.startswith("Error: ")
    assert "most" in result.response
    assert isinstance(result.error, Exception)


def test_what_is_no_text_is_told_as_text(mesh: LocalMesh) -> None:
    class Number(Echo):
        def on_message(self, message: object, context: object = None) -> object:
            return None if message == "nothing" else 42

    mesh.add_agent(Number("number"))

    assert [mesh.query("number", word).response for word in ("how many", "nothing")] == ["42", "Message received"]


def test_reminders_name_what_is_late_and_send_nothing(mesh: LocalMesh, slow: SlowEcho) -> None:
    request = mesh.submit("slow", "work")

    assert mesh.send_reminders(3600.0) == []
    assert [mesh.send_reminders(0.0), mesh.send_reminders(0.0)] == [[request], [request]]
    assert [each.reminder_count for each in mesh.get_pending()] == [2]

    slow.go.set()
    mesh.process_messages()
    assert slow.heard == ["work"]
    assert mesh.send_reminders(0.0) == []
    mesh.get_results()


async def test_a_result_can_be_awaited_and_is_itself_then(mesh: LocalMesh, slow: SlowEcho) -> None:
    slow.go.set()
    result = mesh.query_sync("slow", "work")

    assert await result is result


def test_a_closed_mesh_gives_the_results_it_has(mesh: LocalMesh, slow: SlowEcho) -> None:
    slow.go.set()
    mesh.submit("slow", "work")
    mesh.stop()

    assert (mesh.get_pending(), mesh.has_pending(), mesh.send_reminders(0.0)) == ([], False, [])
    assert [[each.response for each in results] for results in (mesh.peek_results(), mesh.get_results())] == [
        ["echo: work"],
        ["echo: work"],
    ]
    assert mesh.get_results() == []
