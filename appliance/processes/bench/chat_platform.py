"""Ten chat platforms in one process, in Telegram's shape: ``http://127.0.0.1:PORT/<platform>/bot<token>/<method>``.

It takes what it is sent, notes how long that took from when its event was due, and answers at once. One platform can be
told to hang: it takes the request and never answers. Steered by lines on standard input: ``hang NAME``, ``report``.
"""

import asyncio
import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

from appliance.lib.config import ROOT

LONG_POLL = 25.0
_FIXED: dict[str, Any] = {
    "getMe": {"id": 1, "is_bot": True, "first_name": "Bench", "username": "bench_bot"},
    "getWebhookInfo": {"url": "", "pending_update_count": 0},
    "deleteWebhook": True,
}


class ChatPlatform:
    """The process, as the bench sees it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "appliance.processes.bench.chat_platform"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self.port = int(self._read())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def hang(self, platform: str) -> None:
        """From now on it does not answer to messages any more."""
        self._tell(f"hang {platform}")

    def arrived(self) -> list[tuple[str, int, float, float]]:
        """Platform, number, milliseconds since it was due, and the monotonic time, of each message so far."""
        found = json.loads(self._tell("report"))
        return [(name, number, late, at) for name, number, late, at in found]

    def _tell(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class _Server:
    def __init__(self) -> None:
        self._hanging = ""
        self._arrived: list[tuple[str, int, float, float]] = []

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := (await lines.readline()).decode().split():
            if line[0] == "hang":
                self._hanging = line[1]
            print(json.dumps(self._arrived if line[0] == "report" else "done"), flush=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                sizes = [
                    line.partition(":")[2] for line in head if line.lower().startswith("content-length:")
                ]
                body = await reader.readexactly(int(sizes[0]) if sizes else 0)
                _, platform, _, method = head[0].split()[1].split("/")
                answer = {"ok": True, "result": await self._result(platform, method, body)}
                said = json.dumps(answer).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(said), said)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def _result(self, platform: str, method: str, body: bytes) -> Any:
        if method == "getUpdates":
            await asyncio.sleep(LONG_POLL)
            return []
        if method != "sendMessage":
            return _FIXED[method]
        now = time.monotonic()
        words = json.loads(body)["text"].split()
        if len(words) == 2:  # not a digest
            self._arrived.append((platform, int(words[0]), (now - float(words[1])) * 1000, now))
        if platform == self._hanging:
            await asyncio.Event().wait()
        return {"message_id": len(self._arrived)}


if __name__ == "__main__":
    asyncio.run(_Server().serve())
