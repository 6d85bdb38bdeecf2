"""A server of tools written from the protocol (version 2025-06-18), without the SDK: honest, and otherwise as told."""

import threading
from typing import Any

from tests.standins.server import Asked, Standin, Told

FIND: dict[str, Any] = {
    "name": "find",
    "description": "Find a part in the store.",
    "inputSchema": {
        "type": "object",
        "properties": {"part": {"type": "string", "description": "Its number."}},
        "required": ["part"],
    },
    "annotations": {"readOnlyHint": True},
}
ORDER: dict[str, Any] = {
    "name": "order",
    "description": "Order parts.",
    "inputSchema": {
        "type": "object",
        "properties": {"part": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
        "required": ["part", "count"],
    },
}


class McpStandin(Standin):
    """``gives`` is what a call gives, as the result of ``tools/call``. ``called`` are the calls that came."""

    def __init__(self) -> None:
        super().__init__()
        self.tools = [FIND, ORDER]
        self.gives: dict[str, Any] = {"content": [{"type": "text", "text": "12 in shelf B"}]}
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.hangs = ""
        """The method that is never answered."""
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.root}/mcp"

    def answer(self, asked: Asked) -> Told:
        if asked.method != "POST":
            return Told(405 if asked.method == "GET" else 200)
        message = asked.json
        if "id" not in message:
            return Told(202)
        method, params = message["method"], message.get("params") or {}
        if method == self.hangs:
            self.over.wait(30)
            return Told(0)
        if method == "tools/call":
            self.called.append((params["name"], params["arguments"]))
        results = {
            "initialize": {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "store", "version": "1"},
            },
            "tools/list": {"tools": self.tools},
            "tools/call": self.gives,
        }
        if method not in results:
            error = {"code": -32601, "message": "no such method"}
            return Told(body={"jsonrpc": "2.0", "id": message["id"], "error": error})
        return Told(body={"jsonrpc": "2.0", "id": message["id"], "result": results[method]})

    def __exit__(self, *given: Any) -> None:
        self.over.set()
        super().__exit__(*given)
