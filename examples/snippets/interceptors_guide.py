"""The code of docs/guides/interceptors.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
import contextvars
import fnmatch
from collections import OrderedDict
from typing import Any

import msgspec

from ceylon import Agent, Context, Mesh, Message, NextDelivery, NextHandling, RejectedError, on
from ceylon.messages import Envelope, type_name


class Pay(Message[str]):
    amount: int
    request_id: str = ""


class Bank(Agent):
    paid = 0

    @on
    async def pay(self, pay: Pay) -> str:
        self.paid += pay.amount
        return f"{self.paid} paid so far"


class Till(Agent):
    @on
    async def pay(self, pay: Pay, context: Context) -> str:
        return str(await context.ask("bank", pay))


# --8<-- [start:two]
def only_small_sums(envelope: Envelope, call_next: NextDelivery) -> None:
    if isinstance(envelope.message, Pay) and envelope.message.amount > 100:
        raise PermissionError(envelope.message.amount)
    call_next(envelope)


async def politely(envelope: Envelope, call_next: NextHandling) -> Any:
    return f"{await call_next(envelope)}, thank you"


async def use_two() -> None:
    async with Mesh("market", interceptors=[only_small_sums, politely]) as mesh:
        bank = mesh.add(Bank("bank"))
        print(await bank.ask(Pay(5)))  # 5 paid so far, thank you
        try:
            await bank.ask(Pay(500))
        except RejectedError as error:
            print(error)  # Pay to 'bank' was rejected by an interceptor of the mesh: PermissionError: 500
        print(mesh.statistics().dead_letters)  # {'rejected': 1}
    # --8<-- [end:two]


# --8<-- [start:auth]
class Permissions:
    """Lets pass what a rule allows: who (empty: code outside of agents), to whom, and which type of message."""

    def __init__(self, *rules: tuple[str, str, type]) -> None:
        self._rules = rules

    def __call__(self, envelope: Envelope, call_next: NextDelivery) -> None:
        if not any(self._allows(envelope, *rule) for rule in self._rules):
            who = envelope.sender or "code outside"
            message = f"{who} may not send {type_name(envelope.message)} to {envelope.recipient}"
            raise PermissionError(message)
        call_next(envelope)

    @staticmethod
    def _allows(envelope: Envelope, sender: str, recipient: str, kind: type) -> bool:
        matches = fnmatch.fnmatchcase
        fits = matches(envelope.sender, sender) and matches(envelope.recipient, recipient)
        return fits and isinstance(envelope.message, kind)


# --8<-- [end:auth]


async def use_permissions() -> None:
    # --8<-- [start:use_auth]
    permissions = Permissions(("", "till", Pay), ("till", "bank", Pay), ("", "*", str))
    async with Mesh("market", interceptors=[permissions]) as mesh:
        till, bank = mesh.add(Till("till")), mesh.add(Bank("bank"))
        print(await till.ask(Pay(5)))  # 5 paid so far
        try:
            await bank.ask(Pay(5))
        except RejectedError as error:
            print(error.reason)  # PermissionError: code outside may not send Pay to bank
    # --8<-- [end:use_auth]


# --8<-- [start:rate]
class RateLimit:
    """Gives each sender a bucket of *burst* tokens that fills by *per_second*; a message costs one."""

    def __init__(self, per_second: float, burst: int, *, most_senders: int = 10_000) -> None:
        self._per_second, self._burst, self._most = per_second, burst, most_senders
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def __call__(self, envelope: Envelope, call_next: NextDelivery) -> None:
        now = call_next.now  # virtual in a simulation
        tokens, counted = self._buckets.pop(envelope.sender, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - counted) * self._per_second)
        is_empty = tokens < 1
        self._buckets[envelope.sender] = (tokens if is_empty else tokens - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)  # who has been silent longest
        if is_empty:
            message = f"{envelope.sender or 'code outside'} sends more than {self._per_second:g} messages a second"
            raise ConnectionRefusedError(message)
        call_next(envelope)


# --8<-- [end:rate]


async def use_rate_limit() -> None:
    # --8<-- [start:use_rate]
    async with Mesh("market", interceptors=[RateLimit(per_second=0.01, burst=3)]) as mesh:
        bank = mesh.add(Bank("bank"))
        for _ in range(5):
            try:
                print(await bank.ask(Pay(1)))  # three times
            except RejectedError as error:
                print(error.reason)  # twice
    # --8<-- [end:use_rate]


# --8<-- [start:tracing]
class Span(msgspec.Struct, frozen=True):
    trace: str
    id: int
    parent: int
    what: str
    seconds: float
    failed: bool


class Tracer:
    """Gives what comes from outside a trace, which all that follows from it inherits; keeps a span of each handling."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def deliver(self, envelope: Envelope, call_next: NextDelivery) -> None:
        if envelope.trace is None:
            envelope = msgspec.structs.replace(envelope, trace=f"trace-{envelope.id}")
        call_next(envelope)

    async def handle(self, envelope: Envelope, call_next: NextHandling) -> Any:
        began, failed = call_next.now, True
        try:
            reply = await call_next(envelope)
            failed = False
            return reply
        finally:
            what = f"{type_name(envelope.message)} in {envelope.recipient}"
            seconds = call_next.now - began
            self.spans.append(Span(envelope.trace or "", envelope.id, envelope.parent, what, seconds, failed))

    def lines(self, parent: int = 0, depth: int = 0) -> list[str]:
        """Return the spans below *parent*, each with those that follow from it."""
        found: list[str] = []
        for span in sorted(self.spans, key=lambda it: it.id):
            if span.parent == parent:
                found.append(f"{'  ' * depth}{span.what}{' failed' if span.failed else ''} ({span.trace})")
                found += self.lines(span.id, depth + 1)
        return found


# --8<-- [end:tracing]


async def use_tracer() -> None:
    # --8<-- [start:use_tracing]
    tracer = Tracer()
    async with Mesh("market", interceptors=[tracer.deliver, tracer.handle]) as mesh:
        till = mesh.add(Till("till"))
        mesh.add(Bank("bank"))
        await till.ask(Pay(5))
        print("\n".join(tracer.lines()))  # Pay in till, and below it Pay in bank, both of one trace
    # --8<-- [end:use_tracing]


# --8<-- [start:once]
class Once:
    """Handles what has the same value in *field* once for each agent, and answers again as it did then."""

    def __init__(self, field: str, most: int = 10_000) -> None:
        self._field, self._most = field, most
        self._replies: OrderedDict[tuple[str, Any], Any] = OrderedDict()

    async def __call__(self, envelope: Envelope, call_next: NextHandling) -> Any:
        value = getattr(envelope.message, self._field, None)
        if not value:
            return await call_next(envelope)
        key = (envelope.recipient, value)
        if key not in self._replies:
            self._replies[key] = await call_next(envelope)  # a failure is not kept: the next try is a new one
            if len(self._replies) > self._most:
                self._replies.popitem(last=False)
        return self._replies[key]


# --8<-- [end:once]


async def use_once() -> None:
    # --8<-- [start:use_once]
    async with Mesh("market", interceptors=[Once("request_id")]) as mesh:
        bank = mesh.add(Bank("bank"))
        for _ in range(3):
            print(await bank.ask(Pay(5, request_id="r-1")))  # 5 paid so far, three times
        print(await bank.ask(Pay(5, request_id="r-2")))  # 10 paid so far
    # --8<-- [end:use_once]


# --8<-- [start:variables]
tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


async def for_tenant(envelope: Envelope, call_next: NextHandling) -> Any:
    token = tenant.set(getattr(envelope.message, "request_id", "") or "nobody")
    try:
        return await call_next(envelope)
    finally:
        tenant.reset(token)


class Clerk(Agent):
    @on
    def pay(self, pay: Pay) -> str:  # in a worker thread
        return f"{pay.amount} for {tenant.get()}"


# --8<-- [end:variables]


async def use_variables() -> None:
    async with Mesh("market", interceptors=[for_tenant]) as mesh:
        print(await mesh.add(Clerk("clerk")).ask(Pay(5, request_id="lisbon")))


async def main() -> None:
    for show in (use_two, use_permissions, use_rate_limit, use_tracer, use_once, use_variables):
        await show()


if __name__ == "__main__":
    asyncio.run(main())
