"""A git server with one model's repository: git's own ``http-backend`` behind HTTP, and large files by LFS's batch."""

import hashlib
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_WHO = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")


class ModelRepository:
    """``large``: the LFS objects by their digest; a test may change what is handed out for one."""

    def __init__(self, folder: Path, files: dict[str, bytes], large: dict[str, bytes]) -> None:
        self.large = {hashlib.sha256(content).hexdigest(): content for content in large.values()}
        self.asked: list[str] = []
        work = folder / "work"
        work.mkdir()
        for name, content in {**files, **{name: _pointer(one) for name, one in large.items()}}.items():
            (work / name).write_bytes(content)
        for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "model")):
            subprocess.run(["git", *_WHO, *words], cwd=work, check=True)
        subprocess.run(["git", "clone", "-q", "--bare", str(work), str(folder / "m.git")], check=True)
        self.folder = folder
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _pointer(content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()


def _handler(repository: ModelRepository) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _answer(self, body: bytes) -> None:
            repository.asked.append(self.path)
            if self.path.startswith("/large/"):
                self._tell(200, repository.large[self.path.removeprefix("/large/")])
            elif self.path == "/m.git/info/lfs/objects/batch":
                self._tell(200, self._batch(json.loads(body)))
            else:
                self._git(body)

        def _batch(self, asked: dict[str, Any]) -> bytes:
            assert (asked["operation"], asked["transfers"], asked["hash_algo"]) == (
                "download",
                ["basic"],
                "sha256",
            )
            assert self.headers["Content-Type"] == self.headers["Accept"] == "application/vnd.git-lfs+json"
            objects = [
                {**one, "actions": {"download": {"href": f"{repository.root}/large/{one['oid']}"}}}
                if one["oid"] in repository.large
                else {**one, "error": {"code": 404, "message": "no such object"}}
                for one in asked["objects"]
            ]
            return json.dumps({"transfer": "basic", "objects": objects}).encode()

        def _git(self, body: bytes) -> None:
            address = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(repository.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": address.path,
                "QUERY_STRING": address.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
            self._tell(int(headers.pop("Status", "200").split()[0]), content, headers)

        def _tell(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: ``asked`` has everything."""

    return Handler
