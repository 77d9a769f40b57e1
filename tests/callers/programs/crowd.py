"""Five thousand queries under one plain gather, with default settings."""

import asyncio

from ceylon.settings import DEFAULTS
from ceylon.testing.model_server import ModelServer
from support.callers_report import report
from support.callers_stage import tutor_at

QUERIES = [f"query {number}" for number in range(5_000)]


async def main(server: ModelServer) -> list[str]:
    """Ask everything at once; the server answers nothing until as many queries are in flight as ever will be."""
    tutor = tutor_at(server.openai_url)
    server.hold()
    gathering = asyncio.gather(*[tutor.send_message_async(query) for query in QUERIES])
    await server.until(lambda: server.in_flight == DEFAULTS.model_concurrency)
    server.release()
    return await gathering


if __name__ == "__main__":
    with ModelServer(records=False) as server:
        answers = asyncio.run(main(server))
        report("right", lambda: sum(answer == f"echo: {query}" for query, answer in zip(QUERIES, answers, strict=True)))
        report("most_in_flight", lambda: server.most_in_flight)
