"""A Matrix homeserver, the part that a bot with an access token uses to write into a room. Shapes and codes:
https://spec.matrix.org/v1.11/client-server-api/ (whoami, join, send with a transaction id, media upload)."""

from typing import Any
from urllib.parse import unquote

from tests.standins.server import Asked, Standin, Told

TOKEN = "syt_Ym94_n0b0dy_sh0uld_s33_this"
USER, ROOM = "@box:plant.example", "!abcdefgh:plant.example"
LARGEST_EVENT = 65_536
_API = "/_matrix/client/v3"


class MatrixStandin(Standin):
    """``events`` has every message of the room, once for each transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.events: list[dict[str, Any]] = []
        self.uploads: dict[str, bytes] = {}
        self._transactions: dict[str, str] = {}

    @property
    def texts(self) -> list[str]:
        return [one["body"] for one in self.events if one["msgtype"] == "m.text"]

    @property
    def files(self) -> list[tuple[str, bytes]]:
        return [
            (one["body"], self.uploads[one["url"]])
            for one in self.events
            if one["msgtype"] in ("m.image", "m.file")
        ]

    def answer(self, asked: Asked) -> Told:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return Told(401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised access token"})
        # The path of a room's event has the room's id in it, encoded.
        match asked.method, unquote(asked.path).removeprefix(_API).split("/")[1:]:
            case "GET", ["account", "whoami"]:
                return Told(200, {"user_id": USER, "device_id": "BOX"})
            case "POST", ["join", room]:
                if room != ROOM:
                    return Told(404, {"errcode": "M_NOT_FOUND", "error": "No such room"})
                return Told(200, {"room_id": ROOM})
            case "PUT", ["rooms", room, "send", "m.room.message", transaction] if room == ROOM:
                return self._event(transaction, asked)
            case "POST", ["_matrix", "media", "v3", "upload"]:
                uri = f"mxc://plant.example/{len(self.uploads)}"
                self.uploads[uri] = asked.body
                return Told(200, {"content_uri": uri})
        return Told(404, {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"})

    def _event(self, transaction: str, asked: Asked) -> Told:
        if len(asked.body) > LARGEST_EVENT:
            return Told(413, {"errcode": "M_TOO_LARGE", "error": "event too large"})
        with self.changed:
            if transaction not in self._transactions:
                self._transactions[transaction] = f"${len(self.events)}"
                self.events.append(asked.json)
            self.changed.notify_all()
        return Told(200, {"event_id": self._transactions[transaction]})
