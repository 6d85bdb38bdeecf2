"""A stand-in of Slack: the Web API, Socket Mode, and the calls that Slack makes. It checks what it is sent.

Shapes and codes: docs.slack.dev, reference/methods (chat.postMessage, chat.update, files.getUploadURLExternal,
files.completeUploadExternal, apps.connections.open, auth.test), reference/block-kit, reference/events,
reference/interaction-payloads, apis/events-api/using-socket-mode, authentication/verifying-requests-from-slack,
messaging/formatting-message-text; the total of a message's blocks (13,200): slackapi/bolt-js#2509.
"""

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from websockets.sync.server import ServerConnection

from tests.standins.server import Asked, Standin, Told
from tests.standins.slack_blocks import Refusal, marks_in, no, read_blocks
from tests.standins.slack_payloads import DIRECT, TEAM, event, press

BOT = "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy"
APP = "xapp-1-A0123456789-1234567890123-0f9e8d7c6b5a4f3e2d1c"
POST = {
    "channel", "text", "blocks", "thread_ts", "parse", "link_names", "unfurl_links", "unfurl_media", "mrkdwn"
}  # fmt: skip
UPDATE = {"channel", "ts", "text", "blocks", "parse", "link_names"}
STAMP = re.compile(r"\d{10}\.\d{6}")


@dataclass
class Envelope:
    """What waits to be acknowledged."""

    kind: str
    payload: dict[str, Any]
    attempts: int = 0
    sent_on: list[int] = field(default_factory=list)


class SlackStandin(Standin):
    """``sent`` has every message as it is now, ``files`` what was shared, ``alive`` marks that would have done
    something. ``channels`` are those that the app is in; ``paced``: one message a second in each."""

    def __init__(self) -> None:
        super().__init__()
        self.bot_token, self.app_token = BOT, APP
        self.sent: list[dict[str, Any]] = []
        self.shared: list[dict[str, Any]] = []
        self.alive: list[str] = []
        self.channels = {"C123", DIRECT, "G7"}
        self.strange = {"C9"}
        self.archived: set[str] = set()
        self.paced = False
        self.waiting: dict[str, Envelope] = {}
        self.acknowledged: list[str] = []
        self.connections = 0
        self._links: set[str] = set()
        self._uploads: dict[str, tuple[str, int, bytes | None]] = {}
        self._last: dict[str, float] = {}
        self._number = 0

    @property
    def api(self) -> str:
        return f"{self.root}/api"

    @property
    def texts(self) -> list[str]:
        """What people see."""
        return [one["shown"] for one in self.sent]

    @property
    def files(self) -> list[tuple[str, bytes]]:
        return [(one["name"], one["content"]) for one in self.shared]

    # --- the Web API ------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Told:
        if asked.path.startswith("/upload/"):
            return self._upload(asked)
        if asked.method != "POST" or not asked.path.startswith("/api/"):
            return Told(404, b"")
        method = asked.path.removeprefix("/api/")
        play = getattr(self, "_" + method.replace(".", "_"), None)
        if play is None:
            return Told(200, {"ok": False, "error": "unknown_method"})
        try:
            self._prove(asked, method)
            given = _given(asked)
            with self.changed:
                result = play(given)
                self.changed.notify_all()
        except Refusal as refusal:
            return Told(200, {"ok": False, **refusal.args[0]})
        return result if isinstance(result, Told) else Told(200, {"ok": True, **result})

    def _prove(self, asked: Asked, method: str) -> None:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise no("not_authed")
        right, other = self.bot_token, self.app_token
        if method == "apps.connections.open":
            right, other = other, right
        if token == other:
            raise no("not_allowed_token_type")
        if token != right:
            raise no("invalid_auth")

    def _auth_test(self, given: dict[str, Any]) -> dict[str, Any]:
        who = {"user": "millwright", "user_id": "UBOT", "bot_id": "BBOT"}
        return {"url": "https://works.slack.com/", "team": "The Works", "team_id": TEAM, **who}

    def _apps_connections_open(self, given: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        link = f"/link/?ticket={self._number}&app_id=A111"
        self._links.add(link)
        return {"url": self.socket_root + link}

    def _chat_postMessage(self, given: dict[str, Any]) -> Any:
        if given.keys() - POST:
            raise no("invalid_arguments")
        channel = self._channel(given.get("channel", ""), people=True)
        thread = given.get("thread_ts")
        if thread is not None and not STAMP.fullmatch(thread):
            raise no("invalid_thread_ts")
        if given.get("unfurl_links") is not False or given.get("unfurl_media") is not False:
            self.alive.append("a preview")
        shown = self._shown(given)
        now = time.monotonic()
        if self.paced and now - self._last.get(channel, 0) < 1:
            return Told(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "1"})
        self._last[channel] = now
        self._number += 1
        stamp = f"1699000000.{self._number:06}"
        self.sent.append({**given, "channel": channel, "ts": stamp, "shown": shown})
        return {"channel": channel, "ts": stamp, "message": {"text": given["text"], "bot_id": "BBOT"}}

    def _chat_update(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.keys() - UPDATE:
            raise no("invalid_arguments")
        channel = self._channel(given.get("channel", ""))
        found = [one for one in self.sent if (one["channel"], one["ts"]) == (channel, given.get("ts"))]
        if not found:
            raise no("message_not_found")
        shown = self._shown(given)  # before anything changes
        found[0].update({**given, "shown": shown})
        return {"channel": channel, "ts": given["ts"], "text": given["text"]}

    def _channel(self, name: str, people: bool = False) -> str:
        if people and name.startswith("U"):
            return DIRECT
        if name in self.strange:
            raise no("not_in_channel")
        if name not in self.channels:
            raise no("channel_not_found")
        if name in self.archived:
            raise no("is_archived")
        return name

    def _shown(self, given: dict[str, Any]) -> str:
        """What people see of a message. Raises Refusal for what Block Kit does not take."""
        text, blocks = given.get("text"), given.get("blocks")
        if not isinstance(text, str) or not text.strip():
            raise no("no_text")
        if len(text) > 40_000:
            raise no("msg_too_long")
        if given.get("parse") != "none" or given.get("link_names") not in (None, False):
            self.alive.append("names and links")
        seen = read_blocks(blocks)
        self.alive += [*marks_in(text), *seen.alive]
        return seen.text

    # --- files ------------------------------------------------------------------------------------

    def _files_getUploadURLExternal(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.keys() != {"filename", "length"} or int(given["length"]) < 1:
            raise no("missing_argument")
        self._number += 1
        number = f"F{self._number:08}"
        self._uploads[number] = (given["filename"], int(given["length"]), None)
        return {"upload_url": f"{self.root}/upload/v1/{number}", "file_id": number}

    def _upload(self, asked: Asked) -> Told:
        number = asked.path.rpartition("/")[2]
        if number not in self._uploads or "authorization" in asked.headers:
            return Told(404, b"")
        name, length, _ = self._uploads[number]
        if len(asked.body) != length:
            return Told(400, b"the length is another")
        self._uploads[number] = (name, length, asked.body)
        return Told(200, f"OK - {length}".encode())

    def _files_completeUploadExternal(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.keys() - {"files", "channel_id", "channels", "thread_ts"}:
            raise no("invalid_arguments")
        if "channel_id" in given:
            channel = self._channel(given["channel_id"])
        else:
            channel = self._channel(given.get("channels", ""), people=True)
        [file] = json.loads(given["files"])
        name, _, content = self._uploads.pop(file["id"], ("", 0, None))
        if content is None:
            raise no("file_not_found")
        thread = given.get("thread_ts")
        self.shared.append({"name": name, "content": content, "channel": channel, "thread_ts": thread})
        return {"files": [{"id": file["id"], "title": file["title"]}]}

    # --- the person -------------------------------------------------------------------------------

    def said(self, text: str, user: str = "U7", channel: str = DIRECT, **more: Any) -> dict[str, Any]:
        """The event of somebody writing; in a channel they mention the app."""
        self._number += 1
        return event(self._number, text, user, channel, more)

    def pressed(
        self, data: str, user: str = "U7", channel: str = DIRECT, thread: str | None = None
    ) -> dict[str, Any]:
        """The payload of somebody pressing a button."""
        self._number += 1
        return press(self._number, data, user, channel, thread)

    def tell(self, payload: dict[str, Any]) -> str:
        """By Socket Mode; gives the envelope's identifier."""
        kind = "interactive" if payload["type"] == "block_actions" else "events_api"
        with self.changed:
            self._number += 1
            identifier = f"envelope-{self._number}"
            self.waiting[identifier] = Envelope(kind, payload)
            self.changed.notify_all()
        return identifier

    def farewell(self, reason: str) -> None:
        """Slack wants every connection to end: ``refresh_requested``, ``warning``, ``link_disabled``."""
        for connection in list(self.open_sockets):
            connection.send(json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "x"}}))

    def attend(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        link = connection.request.path
        if link not in self._links:
            connection.close(4001, "the ticket was used")
            return
        self._links.discard(link)
        self.connections += 1
        mine = self.connections
        hello = {
            "type": "hello",
            "num_connections": len(self.open_sockets),
            "connection_info": {"app_id": "A"},
        }
        connection.send(json.dumps(hello))
        while True:
            for identifier, envelope in list(self.waiting.items()):
                if mine not in envelope.sent_on:
                    envelope.sent_on.append(mine)
                    self._deliver(connection, identifier, envelope)
            try:
                told = json.loads(connection.recv(timeout=0.02))
            except TimeoutError:
                continue
            with self.changed:
                if self.waiting.pop(told["envelope_id"], None):
                    self.acknowledged.append(told["envelope_id"])
                self.changed.notify_all()

    def _deliver(self, connection: ServerConnection, identifier: str, envelope: Envelope) -> None:
        told: dict[str, Any] = {"envelope_id": identifier, "type": envelope.kind, "payload": envelope.payload}
        if envelope.kind == "events_api":
            told |= {"retry_attempt": envelope.attempts, "retry_reason": "timeout" * bool(envelope.attempts)}
        envelope.attempts += 1
        connection.send(json.dumps({**told, "accepts_response_payload": envelope.kind == "interactive"}))


def _given(asked: Asked) -> dict[str, Any]:
    """The arguments: JSON, or a form whose values are texts."""
    if asked.headers.get("content-type", "").startswith("application/json"):
        try:
            found = asked.json
        except ValueError:
            raise no("invalid_json") from None
        if not isinstance(found, dict):
            raise no("json_not_object")
        return found
    return dict(parse_qsl(asked.body.decode(), keep_blank_values=True))
