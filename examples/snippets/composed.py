"""A pipeline, on the first page."""
# ruff: noqa: D103 – a snippet is documented by the page it stands in

# --8<-- [start:composed]
from ceylon import LlmAgent
from ceylon.pipelines import each, parallel, pipeline


def count(text: str) -> int:
    return len(text.split())


poet = LlmAgent("poet", "auto", max_tokens=24)
readers = pipeline(str.splitlines, each(parallel(words=count, poem=poet), concurrency=4))
for found in readers.blocking.run("Tea from Ceylon\nRain in May"):
    print(found["words"], found["poem"])
# --8<-- [end:composed]
