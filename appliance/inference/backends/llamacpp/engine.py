"""The engine's own process: llama.cpp's server, in the sandbox. It imports nothing of the box.

``python -I engine.py engine.json`` in a working folder of its own. On standard output: where it listens, as a line of
JSON. What llama.cpp says goes to standard error, and is the sign that a load gets on.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    import xllamacpp

    config = json.loads(Path(sys.argv[1]).read_text())
    try:
        server = xllamacpp.Server(_parameters(xllamacpp.CommonParams(), config))
    except RuntimeError as error:
        sys.exit(f"the model was not loaded: {error}")  # llama.cpp has said why
    print(json.dumps({"url": server.listening_address}), flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # Not by way of the interpreter's end: the server's threads are in the middle of their work.
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.raise_signal(signal.SIGTERM)


def _parameters(parameters: Any, config: dict[str, Any]) -> Any:
    parameters.model.path = config["model"]
    parameters.model_alias = {config["name"]}
    # llama.cpp's figure is that of all slots together.
    parameters.n_ctx = config["context"] * config["slots"]
    parameters.n_parallel = config["slots"]
    parameters.n_gpu_layers = config["gpu_layers"]
    parameters.cpuparams.n_threads = config["threads"]
    parameters.cpuparams_batch.n_threads = config["threads"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [config["key"]]
    parameters.embedding = config["embeddings"]
    parameters.endpoint_slots = False
    parameters.endpoint_props = False
    parameters.endpoint_metrics = True
    parameters.offline = True
    parameters.ui = False
    # What is planned is what it takes: no cache of 8 GiB beside it, and no guess at what would fit.
    parameters.cache_ram_mib = config["cache_mib"]
    parameters.fit_params = False
    # Some processors have an instruction with which builds of llama.cpp died (#20824); this leaves it out.
    parameters.no_extra_bufts = True
    return parameters


if __name__ == "__main__":
    # Whoever waits for a signal has to have it blocked, in all threads that come later.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
