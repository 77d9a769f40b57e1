"""The verbs about requests.

Reminders are counted and sent to nobody: every request is answered, fails, or runs out of time by itself, and a model
that is reminded would be paid once more.
"""

from typing import TYPE_CHECKING, Any

from ceylon.compat.answers import Told
from ceylon.compat.callers import caller
from ceylon.compat.requests import PyMeshRequest, PyMeshResult
from ceylon.compat.seats import Text, address_for
from ceylon.compat.settling import block, do, look
from ceylon.core import verbs
from ceylon.core.ref import Ref
from ceylon.core.request import Request, take
from ceylon.errors import PayloadError

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.tickets import RequestResult

__all__ = ["Requesting", "checked"]


class Requesting:
    """The verbs about requests; a mesh has them.

    `query`, `submit`, `wait_for` and `collect_results` wait where no event loop runs in the calling thread; where one
    does they begin at once and return a future. Their twins with ``_sync`` wait always.
    """

    def __init__(self) -> None:
        self._ceylon_reminders: dict[str, int] = {}

    def _ceylon_interior(self) -> "Interior":
        raise NotImplementedError

    def _ceylon_name_at(self, address: str) -> str:
        raise NotImplementedError

    # -- submitting ----------------------------------------------------------------------------------------------------

    def submit(self, target: str, payload: str) -> Any:
        """Send *payload* to the agent *target* and return the id of the request, for `wait_for`.

        Raises:
            RuntimeError: there is no such agent; where a loop runs, when it is awaited.
        """
        submitted = do(self._ceylon_interior(), "submit", self._ceylon_submitting(target, payload))
        return Told(submitted) if isinstance(submitted, str) else submitted

    def submit_sync(self, target: str, payload: str) -> str:
        """Do the same and wait until it is in the agent's mailbox."""
        return str(block(self._ceylon_interior(), "submit_sync", self._ceylon_submitting(target, payload)))

    def _ceylon_submitting(self, target: str, payload: str) -> Any:
        ref, said = self._ceylon_to(target), checked(payload)

        async def submit() -> str:
            return (await ref.submit(said)).id

        return submit

    def _ceylon_to(self, target: str) -> Ref:
        return Ref(self._ceylon_interior(), address_for(target))

    def query(self, target: str, payload: str, timeout: float = 60.0, reminder_interval: float = 30.0) -> Any:
        """Send *payload* to the agent *target* and return its `MeshResult`.

        Args:
            target: The agent's name.
            payload: What to ask.
            timeout: Seconds to wait at most; then the request is over.
            reminder_interval: Has no use any more.

        Raises:
            RuntimeError: there is no such agent, it failed, or did not answer in time.
        """
        del reminder_interval
        return do(self._ceylon_interior(), "query", self._ceylon_querying(target, payload, timeout))

    def query_sync(
        self, target: str, payload: str, timeout: float = 60.0, reminder_interval: float = 30.0
    ) -> PyMeshResult:
        """Do the same and wait; see `query`."""
        del reminder_interval
        result: PyMeshResult = block(
            self._ceylon_interior(), "query_sync", self._ceylon_querying(target, payload, timeout)
        )
        return result

    def _ceylon_querying(self, target: str, payload: str, timeout: float) -> Any:
        ref, said = self._ceylon_to(target), checked(payload)

        async def query() -> PyMeshResult:
            request = await ref.submit(said, timeout=timeout)
            try:
                await request
            except BaseException:
                request.cancel()  # nobody comes for it
                raise
            return PyMeshResult(request.ticket.result(), target)

        return query

    # -- collecting ----------------------------------------------------------------------------------------------------

    def wait_for(self, request_id: str, timeout: float = 60.0, reminder_interval: float = 30.0) -> Any:
        """Return the `MeshResult` of the request with this id, which is collected then.

        Args:
            request_id: What `submit` returned.
            timeout: Seconds to wait at most; the request goes on.
            reminder_interval: Has no use any more.

        Raises:
            RuntimeError: nobody knows the id, the agent failed, or the time is over.
        """
        del reminder_interval
        return do(self._ceylon_interior(), "wait_for", self._ceylon_waiting(request_id, timeout))

    def wait_for_sync(self, request_id: str, timeout: float = 60.0, reminder_interval: float = 30.0) -> PyMeshResult:
        """Do the same and wait; see `wait_for`."""
        del reminder_interval
        result: PyMeshResult = block(
            self._ceylon_interior(), "wait_for_sync", self._ceylon_waiting(request_id, timeout)
        )
        return result

    def _ceylon_waiting(self, request_id: str, timeout: float) -> Any:
        interior = self._ceylon_interior()

        async def wait() -> PyMeshResult:
            ticket = interior.requests.find(str(request_id))
            await take(interior, ticket, timeout)
            return PyMeshResult(ticket.result(), self._ceylon_name_at(ticket.recipient))

        return wait

    def collect_results(self, reminder_interval: float = 30.0) -> Any:
        """Wait for all requests that are under way, and return all results that were not collected; failures too."""
        del reminder_interval
        return do(self._ceylon_interior(), "collect_results", self._ceylon_collect)

    def collect_results_sync(self, reminder_interval: float = 30.0) -> Any:
        """Do the same and wait."""
        del reminder_interval
        return block(self._ceylon_interior(), "collect_results_sync", self._ceylon_collect)

    async def _ceylon_collect(self) -> list[PyMeshResult]:
        interior = self._ceylon_interior()
        source = verbs.source_in(interior)
        outcome = await interior.gateway.perform(lambda sink: interior.requests.collect(source, None, sink))
        return [self._ceylon_result(each) for each in outcome.get()]

    def get_results(self) -> list[PyMeshResult]:
        """Return the results that are there; they are collected then."""
        interior = self._ceylon_interior()
        return [self._ceylon_result(each) for each in look(interior, interior.requests.kept.take_all)]

    def peek_results(self) -> list[PyMeshResult]:
        """Return the results that are there, and leave them."""
        return [self._ceylon_result(each) for each in self._ceylon_interior().requests.kept.results()]

    def _ceylon_result(self, result: "RequestResult") -> PyMeshResult:
        return PyMeshResult(result, self._ceylon_name_at(result.recipient))

    # -- what is under way ---------------------------------------------------------------------------------------------

    def get_pending(self) -> list[PyMeshRequest]:
        """Return the requests that are under way, in the order they were submitted."""
        interior = self._ceylon_interior()
        pending: list[PyMeshRequest] = look(
            interior, lambda: [self._ceylon_pending(each) for each in interior.requests.pending()]
        )
        return pending

    def _ceylon_pending(self, request: Request[Any]) -> PyMeshRequest:
        elapsed = self._ceylon_interior().driver.now_anywhere() - request.ticket.began
        return PyMeshRequest(
            request, self._ceylon_name_at(request.recipient), elapsed, self._ceylon_reminders.get(request.id, 0)
        )

    def has_pending(self) -> bool:
        """Say whether a request is under way."""
        return bool(self._ceylon_interior().requests.pending())

    def send_reminders(self, older_than_secs: float = 30.0) -> list[str]:
        """Return the ids of the requests that are older than that; nobody is sent anything."""
        pending = self.get_pending()
        late = [each.id for each in pending if each.elapsed_seconds >= older_than_secs]
        self._ceylon_reminders = {each.id: each.reminder_count + (each.id in late) for each in pending}
        return late


def checked(payload: object) -> Text:
    """Return *payload* as it is sent.

    Raises:
        PayloadError: it is no text.
    """
    if not isinstance(payload, str):
        raise PayloadError(payload)
    return Text(str(payload), caller())
