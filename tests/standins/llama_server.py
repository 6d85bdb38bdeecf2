"""``llama-server`` as its image has it: the same command line over the same server, which the wheel brings along."""

import signal
import sys
from typing import Any

WITH_VALUE = {"-m", "--alias", "--host", "--port", "-c", "--parallel", "-ngl", "--threads", "--fit"}
SWITCHES = {"--metrics", "--no-slots", "--offline", "--no-ui", "--no-repack", "--embeddings"}


def main() -> None:
    given: dict[str, str] = {}
    words = iter(sys.argv[1:])
    for word in words:
        if word not in WITH_VALUE | SWITCHES:
            sys.exit(f"error: invalid argument: {word}")
        given[word] = next(words) if word in WITH_VALUE else ""
    import xllamacpp

    parameters: Any = xllamacpp.CommonParams()
    parameters.model.path = given["-m"]
    parameters.model_alias = {given["--alias"]}
    parameters.n_ctx, parameters.n_parallel = int(given["-c"]), int(given["--parallel"])
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.hostnames = [given.get("--host", "127.0.0.1")]
    parameters.port = int(given.get("--port", "8080"))
    parameters.endpoint_metrics = "--metrics" in given
    parameters.endpoint_slots = "--no-slots" not in given
    parameters.embedding = "--embeddings" in given
    parameters.fit_params = given.get("--fit") != "off"
    parameters.no_extra_bufts = "--no-repack" in given
    parameters.offline, parameters.ui = True, False
    parameters.cache_ram_mib = 0
    server = xllamacpp.Server(parameters)
    print(f"main: server is listening on {server.listening_address}", flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pause()


if __name__ == "__main__":
    main()
