"""A ``trtllm-serve`` without a GPU: its command line, its file, its API and its ways to fail, over llama.cpp on a tiny
model. It stands alone: beside Python it needs xllamacpp and yaml.

``standin.json`` in the model's folder says which version it is and what goes wrong; it is read anew at each request.
"""

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FLAGS_OF_ALL = {
    "--host",
    "--port",
    "--extra_llm_api_options",
    "--tool_parser",
    "--max_batch_size",
    "--tp_size",
}
FLAGS_SINCE_1_2 = {"--config"}
KEYS = {
    "max_batch_size",
    "max_num_tokens",
    "max_seq_len",
    "kv_cache_config",
    "cuda_graph_config",
    "guided_decoding_backend",
    "enable_iter_perf_stats",
    "return_perf_metrics",
}
CACHE_KEYS = {"free_gpu_memory_fraction", "max_tokens", "enable_block_reuse", "dtype"}
FIELDS = {
    *("messages", "prompt", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty"),
    *("response_format", "tools", "tool_choice", "n"),
}


def main() -> None:
    model, given = _command_line(sys.argv[1:])
    state = State(model)
    config = _config(Path(given["--extra_llm_api_options"]), state.version)
    listener = socket.socket(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((given.get("--host", "localhost"), int(given.get("--port", "8000"))))
    state.load(config)  # bound, and not listening: who connects is refused
    server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.daemon_threads = True
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    server.state = state  # type: ignore[attr-defined]
    server.server_activate()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("INFO:     Application startup complete.", flush=True)
    server.serve_forever(0.05)


def _command_line(words: list[str]) -> tuple[Path, dict[str, str]]:
    if words[:1] == ["serve"]:
        words = words[1:]
    if not words or words[0].startswith("-"):
        sys.exit("Error: Missing argument 'MODEL'.")
    model = Path(words[0])
    version = _said(model).get("version", "1.2.1")
    known = FLAGS_OF_ALL | (FLAGS_SINCE_1_2 if not version.startswith("1.1") else set())
    given = {}
    rest = iter(words[1:])
    for flag in rest:
        if flag not in known:
            sys.exit(f"Error: No such option: {flag}")
        given[flag.replace("--config", "--extra_llm_api_options")] = next(rest)
    return model, given


def _config(file: Path, version: str) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(file.read_text())
    cache = found.get("kv_cache_config", {})
    known = CACHE_KEYS | ({"max_gpu_total_bytes"} if version.startswith("1.3") else set())
    wrong = [*(set(found) - KEYS), *(f"kv_cache_config.{name}" for name in set(cache) - known)]
    if wrong:
        sys.exit(f"pydantic_core.ValidationError: Extra inputs are not permitted: {', '.join(wrong)}")
    return found


def _said(model: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((model / "standin.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


class State:
    """The engine behind the door, and what it has counted."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self.version = str(self.said.get("version", "1.2.1"))
        self.dead = False
        self.iterations: list[dict[str, int]] = []
        self.counts = {"prompt_tokens": 0, "generation_tokens": 0, "running": 0}
        self.lock = threading.Lock()

    @property
    def said(self) -> dict[str, Any]:
        return _said(self.model)

    def load(self, config: dict[str, Any]) -> None:
        self.config = config
        steps = 10
        for step in range(steps):
            print(f"Loading weights: {step + 1}/{steps}", flush=True)
            time.sleep(float(self.said.get("load_seconds", 0.0)) / steps)
        if self.said.get("hang"):
            threading.Event().wait()
        if "eat" in self.said:
            print("Allocating the KV cache", flush=True)
            kept = []
            while True:
                kept.append(bytearray(b"x" * (16 << 20)))
        import xllamacpp

        parameters: Any = xllamacpp.CommonParams()
        parameters.model.path = str(self.model / "standin.gguf")
        parameters.model_alias = {self.model.name}
        parameters.n_ctx = config["max_seq_len"] * config["max_batch_size"]
        parameters.n_parallel = config["max_batch_size"]
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.offline = parameters.no_extra_bufts = True
        parameters.ui = parameters.fit_params = False
        parameters.cache_ram_mib = 0
        self.engine = xllamacpp.Server(parameters)

    def ask(self, path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
        at = urlsplit(self.engine.listening_address)
        connection = http.client.HTTPConnection(str(at.hostname), int(at.port or 0), timeout=60)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse()

    def die(self, how: str) -> None:
        """As it does when its executor breaks: it ends, or it stays and serves nobody."""
        print(f"CppExecutorError: {how}", flush=True)
        if self.said.get("zombie"):
            self.dead = True
            return
        os.kill(os.getpid(), getattr(signal, str(self.said.get("dies_by", "SIGABRT"))))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> State:
        return self.server.state  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        state, said = self.state, self.state.said
        if self.path == "/health":
            well = state.version.startswith("1.1") or said.get("health") == "lies"
            ill = (state.dead or said.get("health") == 503) and not well
            self._tell(
                503 if ill else 200, b"LLM is unavailable. Please check the server logs." if ill else b""
            )
        elif self.path == "/version":
            self._json(200, {"version": state.version})
        elif self.path == "/v1/models":
            self._json(200, {"object": "list", "data": [{"id": state.model.name, "object": "model"}]})
        elif self.path == "/metrics":
            with state.lock:
                drained, state.iterations = state.iterations, []
            self._json(200, drained if state.config.get("enable_iter_perf_stats") else [])
        elif self.path == "/prometheus/metrics" and state.config.get("return_perf_metrics"):
            self._tell(200, _page(state.counts).encode(), "text/plain; version=0.0.4")
        else:
            self._json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            self._json(400, {"error": "[{'type': 'json_invalid', 'msg': 'JSON decode error'}]"})
            return
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            self._json(404, {"detail": "Not Found"})
        elif wrong := _wrong(body, self.state.config):
            self._json(400, wrong)
        else:
            self._complete(body)

    def _complete(self, body: dict[str, Any]) -> None:
        state = self.state
        if state.dead:
            self._json(500, _flat("the executor has shut down", "InternalServerError", 500))
            return
        long = len(json.dumps(body.get("messages", body.get("prompt", "")))) > 8 * state.config["max_seq_len"]
        if state.said.get("dies_by") or body.get("top_k") == -1 or body.get("max_tokens") == 0 or long:
            state.die("invalid request")
            if state.dead:
                self._json(500, _flat("the executor has shut down", "InternalServerError", 500))
            return
        if state.said.get("mute"):
            threading.Event().wait()
        answer = state.ask(self.path, _translated(body))
        if body.get("stream"):
            self._relay(answer)
            return
        content = answer.read()
        usage = json.loads(content).get("usage") or {}
        with state.lock:
            state.counts["prompt_tokens"] += usage.get("prompt_tokens", 0)
            state.counts["generation_tokens"] += usage.get("completion_tokens", 0)
            state.iterations.append({"iter": len(state.iterations), "numActiveRequests": 0})
        self._tell(answer.status, content)

    def _relay(self, answer: http.client.HTTPResponse) -> None:
        """Event by event; where it breaks the connection ends without a word."""
        left = int(self.state.said.get("cut_after", 1 << 30))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in answer:
            if line.startswith(b"data:"):
                left -= 1
                if left < 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, status: int, body: object) -> None:
        self._tell(status, json.dumps(body).encode())

    def _tell(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _wrong(body: dict[str, Any], config: dict[str, Any]) -> dict[str, Any] | None:
    """What the server says of a body that it does not take, in the one or the other of its forms."""
    extra = sorted(set(body) - FIELDS)
    if extra:
        place = f"'loc': ('body', '{extra[0]}')"
        return {"error": f"[{{'type': 'extra_forbidden', {place}, 'msg': 'Extra inputs are not permitted'}}]"}
    if "messages" not in body and "prompt" not in body:
        return {"error": "[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]"}
    if body.get("tool_choice") == "required":
        return {"error": "[{'type': 'literal_error', 'loc': ('body', 'tool_choice')}]"}
    if "stream_options" in body and not body.get("stream"):
        return _flat("stream_options can only be set when stream is true")
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return _flat("response_format json_schema is not known")
    if wanted and not config.get("guided_decoding_backend"):
        return _flat("guided decoding is not enabled")
    return None


def _flat(message: str, kind: str = "BadRequestError", code: int = 400) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def _translated(body: dict[str, Any]) -> dict[str, Any]:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json":
        schema = {"name": "answer", "schema": wanted.get("schema", {})}
        return {**body, "response_format": {"type": "json_schema", "json_schema": schema}}
    return body


def _page(counts: dict[str, int]) -> str:
    return "".join(
        f"# TYPE {name} {kind}\n{name} {value}\n"
        for name, kind, value in (
            ("trtllm_prompt_tokens_total", "counter", counts["prompt_tokens"]),
            ("trtllm_generation_tokens_total", "counter", counts["generation_tokens"]),
            ("trtllm_num_requests_running", "gauge", counts["running"]),
            ("trtllm_kv_cache_utilization", "gauge", 0.25),
        )
    )


if __name__ == "__main__":
    main()
