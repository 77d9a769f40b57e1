"""The embedded engine's own process: start llama.cpp's server, say where, end when standard input does.

Run by path and not imported: it needs nothing of ceylon. Its order is one JSON line on standard input, its answer one
on standard output; after that nothing is printed, whatever the C++ side has to say.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Serve until standard input is closed: by a stop, or by the end of whoever started this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the starter's to handle
    order = json.loads(sys.stdin.buffer.readline())
    with os.fdopen(os.dup(1), "w") as answers:
        _silence()
        try:
            server = _start(order)
        except Exception as error:  # noqa: BLE001 – whatever C++ throws: a broken file, no memory
            answers.write(json.dumps({"error": str(error)}))
            return
        answers.write(json.dumps({"url": server.listening_address}))
    sys.stdin.buffer.read()
    os._exit(0)  # without the destructors, which wait for what is being generated


def _start(order: dict[str, Any]) -> Any:
    """Return a running server. Its threads stay few: spinning ones that share a core are slower than one."""
    sys.path.append(order["packages"])
    xllamacpp = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = order["path"]
    parameters.model_alias = {order["alias"]}
    parameters.n_parallel = order["slots"]
    parameters.n_ctx = order["slots"] * order["context"]  # split between the slots
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = order["threads"]
    if order["seed"] is not None:
        parameters.sampling.seed = order["seed"]
    if order["embedding"]:
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        parameters.kv_unified = True  # else a text beside others has another vector than alone (tried: cosine 0.88)
        parameters.n_batch = parameters.n_ubatch = order["context"]  # a mean is taken of a whole text at a time
    parameters.cache_ram_mib = 64  # of finished conversations' states; the default is 8 GiB
    parameters.warmup = False
    parameters.verbosity = -1
    return xllamacpp.Server(parameters)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


if __name__ == "__main__":
    main()
