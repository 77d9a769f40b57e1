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
    # requests that are submitted, and collected later
    submit_timeout: float = 3_600.0  # long work is what they are for; finite as every ask
    kept_results: int = 10_000  # not collected; the oldest go first
    kept_results_seconds: float = 3_600.0  # after which nobody is going to ask for one
    # timers
    clock_look: float = 60.0  # between looks at the clock on the wall: it may be set, and machines sleep
    clock_correction: float = 10_800.0  # a clock set back by more was wrong, by less it is summer's end (Debian's cron)
    # routing
    handler_types: int = 1_000  # message types an agent class remembers the handler of
    max_hops: int = 64  # two agents that answer each other for ever are found at once
    ledger_ring: int = 10_000  # endings that `mesh.why` can tell of; without their messages
    subscriptions: int = 10_000  # of one agent; who needs more needs a pattern
    dead_letter_ring: int = 10_000  # enough to look back, little enough to forget
    # pictures
    picture_agents: int = 40  # boxes in the picture of a mesh, the busiest; the others are one box together
    picture_roads: int = 120  # arrows in it, likewise; more than these nobody follows
    # keyed agents
    family_idle: float = 600.0  # without a message, before one leaves memory
    family_limit: int = 10_000  # of one family in memory; the longest idle ones go first
    snapshots: int = 100_000  # states kept in memory; what would be one more is refused, nothing is thrown away
    family_retry: float = 1.0  # before one that could not be saved, or all that worked, are asked for a place again
    family_departures: int = 100  # begun at one look; the loop is others' too
    # dispatching
    batch_messages: int = 64  # messages of one agent before the loop gets a checkpoint
    idle_workers: int = 128  # parked worker tasks kept for the next burst, or chain of asks; 4.5 KB each
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
    # going on after faults of models
    retry_tries: int = 4  # of one request, the first included
    retry_share: float = 0.1  # of a minute's requests to one model may be further tries …
    retry_spare: int = 10  # … and so many more: a program with one agent may try again too
    retry_first_pause: float = 0.5  # before a request is made again; doubled each time, with full jitter
    retry_longest_pause: float = 60.0  # a server that asks for more patience is not asked again
    hedge_share: float = 0.1  # of a minute's requests to one model may be made twice: those slower than nine of ten …
    hedge_spare: int = 3  # … and so many more: a program with one agent may hedge too
    governor_room: int = 16  # requests to one model sent at once; as many more each 25 ms until some are refused
    breaker_failures: int = 5  # requests in a row given up for a server's fault, after which it is left alone …
    breaker_pause: float = 30.0  # … for so long; doubled each time it still fails …
    breaker_longest_pause: float = 300.0  # … up to this
    budget_output: int = 4_096  # tokens held for an answer, where nobody has set `max_tokens`
    budget_least_output: int = 256  # likewise, when a budget comes to its end: shorter answers are of no use
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
    # pipelines
    pipeline_timeout: float = 3_600.0  # a run that is asked for: it is made of turns of 600 s
    pipeline_concurrency: int = 64  # runs of one pipeline at a time; each mostly waits for its agents
    each_concurrency: int = 8  # items in one step at a time: what one model server usually takes
    flow_items_told: int = 1_000  # of a flow, in the event of its end; of a longer one only each item's own event tells
    stage_tries: int = 3  # of a stage under `retry`, the first included …
    stage_pause: float = 0.1  # … with so many seconds before the second …
    stage_pause_factor: float = 2.0  # … and so much longer before each further one …
    stage_longest_pause: float = 60.0  # … up to this …
    stage_jitter: float = 1.0  # … of which all is left to chance: what failed together does not come back together
    # conversations
    conversations: int = 10_000  # least recently used go first
    conversation_turns: int = 200
    conversation_key: int = 256  # characters
    characters_per_token: float = 4.0  # of English; only for windows, no provider counts so
    # memory
    memory_namespaces: int = 10_000  # of a memory that is in this process
    memory_namespace: int = 512  # characters: an agent's name and a conversation's key fit
    memory_entries: int = 10_000  # of one namespace; beyond it nothing is remembered, so that nobody can flush the rest
    memory_text: int = 16 * 1024  # characters of one entry: several pages
    memory_metadata: int = 32  # keys of one entry, and conditions of one query
    memory_value: int = 1024  # characters of a value, a source, an id
    memory_vector: int = 8192  # numbers; the largest models give half of that
    memory_recalled: int = 100  # entries of one answer
    memory_query: int = 4096  # characters that are looked for …
    memory_words: int = 32  # … of which so many words count
    memory_search_seconds: float = 1.0  # a search that takes longer is stopped: somebody made it slow
    memory_busy_seconds: float = 5.0  # for another process to finish what it writes
    memory_injected: int = 4_000  # characters of entries put before a question: a thousand tokens
    chunk_characters: int = 800  # of a document's piece: a paragraph or two, 200 tokens
    chunk_overlap: int = 100  # a sentence, so that none loses its context
    # embeddings
    embedding_batch: int = 64  # texts of one request; every provider takes so many
    embedding_texts: int = 10_000  # of one call
    embedding_timeout: float = 120.0  # for one request: a cold model loads its weights first
    # programs written for `ceylonai-next`
    compat_mailbox: int = 20_000  # they send bursts, and were used to a queue without an end
    compat_processing: float = 3_600.0  # seconds `process_messages` waits for what was sent before: long work too …
    compat_look: float = 0.1  # … where it would hold up an event loop: their own interval of polling
    compat_entries: int = 1_000_000  # of one memory: their backends had no limit, and nothing here is without one
    compat_text: int = 1024 * 1024  # characters of such an entry, and of its metadata as JSON
    compat_metadata: int = 1_000  # keys of its metadata


DEFAULTS: Final = Settings()
