"""Talks once with a server of tools that is a command: in its sandbox, over its standard input and output.

It runs as a program of its own inside of the confined job, so it needs nothing but Python's own library. What it is to
do stands in ``talk.json`` beside it; what came of it is one line of JSON on its standard output.
"""

import hashlib
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

VERSION = "2025-11-25"
"""Of the protocol: the newest that begins with a handshake, which is what commands speak."""
LONGEST_LINE = 1 << 20
MOST_LINES = 5_000
MOST_PAGES = 20
MOST_TOOLS = 200
LAST_WORDS = 2_000
NO_SUCH_METHOD = -32601


class Failed(Exception):
    pass


def digest_of(name: str, description: str, schema: Any) -> str:
    """By which a tool is known: another name, description or schema is another tool."""
    said = json.dumps([name, description, schema], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(said.encode()).hexdigest()


class Talk:
    """One conversation, which ends at ``until`` (monotonic seconds)."""

    def __init__(self, process: "subprocess.Popen[bytes]", until: float) -> None:
        self._process, self._until = process, until
        self._lines: queue.Queue[bytes] = queue.Queue(maxsize=100)
        self._number = self._heard = 0
        assert process.stdout is not None, "it has a pipe"
        threading.Thread(target=self._listen, args=(process.stdout,), daemon=True).start()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result. Raises Failed."""
        self._number += 1
        self._say({"id": self._number, "method": method, "params": params})
        while True:
            message = self._hear()
            if message.get("id") == self._number and "method" not in message:
                return self._result(method, message)
            if "method" in message and "id" in message:
                error = {"code": NO_SUCH_METHOD, "message": "this client offers nothing"}
                self._say({"id": message["id"], "error": error})

    def tell(self, method: str) -> None:
        self._say({"method": method})

    def _result(self, method: str, message: dict[str, Any]) -> dict[str, Any]:
        result = message.get("result")
        if isinstance(result, dict):
            return result
        error = message.get("error")
        said = error.get("message") if isinstance(error, dict) else None
        raise Failed(f"{method}: {str(said or 'it gave neither a result nor an error')[:LAST_WORDS]}")

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None, "it has a pipe"
        try:
            self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Failed("the command has ended") from error

    def _hear(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=max(0.01, self._until - time.monotonic()))
        except queue.Empty:
            raise Failed("it did not answer in time") from None
        self._heard += 1
        if not line:
            raise Failed("the command has ended without an answer")
        if len(line) > LONGEST_LINE or self._heard > MOST_LINES:
            raise Failed("it says more than is taken")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise Failed("it wrote a line that is no message of the protocol") from None
        return message if isinstance(message, dict) else {}

    def _listen(self, stream: IO[bytes]) -> None:
        while line := stream.readline(LONGEST_LINE + 1):
            self._lines.put(line)
            if len(line) > LONGEST_LINE:
                return
        self._lines.put(b"")


def talk(said: dict[str, Any], conversation: Talk) -> dict[str, Any]:
    """Handshake, the list of tools, and the call where one is wanted and its tool is still the same."""
    client = {"name": "millwright", "version": "1"}
    conversation.ask("initialize", {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client})
    conversation.tell("notifications/initialized")
    tools: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    for _ in range(MOST_PAGES):
        page = conversation.ask("tools/list", params)
        tools += [one for one in page.get("tools") or [] if isinstance(one, dict)]
        if not page.get("nextCursor") or len(tools) > MOST_TOOLS:
            break
        params = {"cursor": page["nextCursor"]}
    wanted = said.get("call")
    if not wanted:
        return {"tools": tools[:MOST_TOOLS]}
    name, digest = wanted["name"], wanted["digest"]
    now = {
        digest_of(str(one.get("name")), str(one.get("description") or ""), one.get("inputSchema"))
        for one in tools
        if one.get("name") == name
    }
    if now != {digest}:
        return {"tools": tools[:MOST_TOOLS], "moved": True}
    print(json.dumps({"sent": True}), flush=True)  # from here on it may have been done
    result = conversation.ask("tools/call", {"name": name, "arguments": wanted["arguments"]})
    return {"tools": tools[:MOST_TOOLS], "result": result}


def main() -> None:
    said = json.loads(Path("talk.json").read_text())
    try:
        process = subprocess.Popen(said["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        print(json.dumps({"failed": f"the command cannot be started: {error.strerror}"}))
        return
    try:
        given = talk(said, Talk(process, time.monotonic() + said["seconds"]))
    except Failed as error:
        given = {"failed": str(error)}
    finally:
        process.kill()
    print(json.dumps(given), flush=True)


if __name__ == "__main__":
    main()
    sys.exit(0)
