"""What tests of the gateway share: the example client of the documentation, and a socket without one."""

import importlib.util
import json
from itertools import count
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from appliance.lib.config import ROOT

ADDRESSES = count(1)


def example() -> Any:
    """The module docs/examples/gateway_client.py, as its readers have it."""
    spec = importlib.util.spec_from_file_location("gateway_client", ROOT / "docs/examples/gateway_client.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Raw:
    """A socket whose frames a test writes itself."""

    def __init__(
        self,
        place: str,
        token: str = "",
        *,
        origin: str = "",
        query: str = "",
        offered: tuple[str, ...] = ("millwright.v1",),
        hello: bool = True,
    ) -> None:
        # Of one address only a few a minute are put on record.
        headers = {"X-Forwarded-For": f"10.2.0.{next(ADDRESSES)}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._open = connect(
            f"ws://{place}/ws/gateway{query}",
            origin=origin or None,  # type: ignore[arg-type]  # an origin is a text
            subprotocols=list(offered) or None,  # type: ignore[arg-type]  # so is a subprotocol
            additional_headers=headers,
        )
        self.socket = self._open.__enter__()
        if hello:
            self.say(type="hello", version=1, client="raw")
            self.welcome = self.hear("welcome")

    def __enter__(self) -> "Raw":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(None, None, None)

    def say(self, **frame: Any) -> None:
        self.socket.send(json.dumps(frame))

    def hear(self, *kinds: str) -> dict[str, Any]:
        """The next frame of one of these types."""
        while True:
            frame: dict[str, Any] = json.loads(self.socket.recv(timeout=15))
            if frame["type"] in kinds:
                return frame

    def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        """The answer to a frame with an id."""
        fields.setdefault("id", f"i{next(ADDRESSES)}")
        self.say(type=type, **fields)
        while True:
            answer = self.hear("result", "error", "subscribed")
            if answer["id"] == fields["id"]:
                return answer

    def end(self) -> tuple[str, int]:
        """The last thing that the box says, and the code with which it ends the connection."""
        told = ""
        while True:
            try:
                frame = json.loads(self.socket.recv(timeout=15))
                told = frame["code"] if frame.get("fatal") else told
            except ConnectionClosed as closed:
                return told, closed.rcvd.code if closed.rcvd else 1006
