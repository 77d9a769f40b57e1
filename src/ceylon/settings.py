"""Every default number, with its reason; tests read them from here.

All times are seconds, all sizes bytes unless the name says otherwise.
"""

from typing import Final

import msgspec

__all__ = ["DEFAULTS", "Settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers a mesh runs by; `Mesh(settings=msgspec.structs.replace(DEFAULTS, ...))` changes them."""

    # mailboxes
    mailbox_capacity: int = 1_000  # bounds memory, and shows a slow agent early
    roomy_agents: int = 100_000  # keep an empty mailbox, 900 bytes each; those added later save it, at 5 % of an ask
    tell_timeout: float = 5.0  # a tell that finds no room that long has a stuck receiver
    # asks and streams
    ask_timeout: float = 30.0  # always finite: an ask that hangs is the field's first complaint
    stream_idle_timeout: float = 60.0  # between two parts
    stream_credit: int = 64  # parts a producer may be ahead of its consumer
    # routing
    handler_types: int = 1_000  # message types an agent class remembers the handler of
    max_hops: int = 64  # two agents that answer each other for ever are found at once
    ledger_ring: int = 10_000  # endings that `mesh.why` can tell of; without their messages
    dead_letter_ring: int = 10_000  # enough to look back, little enough to forget
    # dispatching
    batch_messages: int = 64  # messages of one agent before the loop gets a checkpoint
    idle_workers: int = 32  # parked worker tasks kept for the next burst
    handler_timeout: float | None = None  # off: only the author knows how long is too long; tests switch it on
    block_warning: float | None = 0.1  # a loop held that long delays everybody; `None`: nobody looks
    # logging
    log_first: int = 10  # events of one kind about one agent, each written down …
    log_period: float = 300.0  # … then one in so many seconds, with the number of those left out
    log_kinds: int = 1_000  # kinds and agents that are counted; the least recent go first
    # threads
    threads: int = 32  # threads that run handlers at one time, a mesh
    threads_per_agent: int = 4  # so that one agent cannot take all of them
    thread_cap: int = 256  # with those that wait in a blocking verb; beyond it nothing could go on
    lease_messages: int = 256  # messages a thread handles before it gives the agent back; fewer is mostly handing over
    lease_seconds: float = 0.010  # likewise, in time; what others that wait for a thread notice
    # supervision
    restarts: int = 5  # Erlang/OTP's intensity …
    restart_period: float = 30.0  # … within this period
    backoff_first: float = 0.1  # doubled each time, with full jitter
    backoff_most: float = 10.0
    # stopping
    drain_timeout: float = 10.0  # to finish what was accepted
    stop_grace: float = 5.0  # for cancelled handlers to end
    # language models
    model_timeout: float = 600.0  # one turn of a large model on a small machine
    model_first_part_timeout: float = 300.0  # a cold model loads its weights first
    model_answer_tokens: int = 8_192  # for the one provider that must be told a limit: its older models take no more
    model_concurrency: int = 8  # what one server usually takes at a time
    retry_first_pause: float = 0.5  # before a batch asks a query again; doubled each time, with full jitter
    retry_longest_pause: float = 60.0  # a server that asks for more patience is not asked again
    model_connect_timeout: float = 5.0
    model_max_body: int = 32 * 1024 * 1024  # a decoded answer, whole
    model_max_event: int = 1024 * 1024  # one event of a stream
    model_max_events: int = 100_000  # of one stream
    model_error_body: int = 2 * 1024  # of a server's words kept in an error
    # actions that models call
    model_turns: int = 25  # requests in one answer; a model that loops is stopped
    model_calls: int = 64  # in one of its answers; nobody needs more, and a broken model may write thousands
    action_timeout: float = 120.0  # for one that runs in the turn, or asks another agent
    action_result: int = 64 * 1024  # characters of a result that the model gets to see; its window is finite
    action_error: int = 2 * 1024  # likewise of an error's words
    model_handoffs: int = 8  # in one answer; agents that pass a question round are stopped
    approval_timeout: float = 600.0  # for whoever is asked whether an action may run; people are slow
    open_approvals: int = 1_000  # requests that wait at one desk; each holds a handler, none a thread
    output_retries: int = 2  # times that a model is told what is wrong with an answer of a wrong type
    # conversations
    conversations: int = 10_000  # least recently used go first
    conversation_turns: int = 200
    conversation_key: int = 256  # characters


DEFAULTS: Final = Settings()
