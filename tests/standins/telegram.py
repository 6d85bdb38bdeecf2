"""A stand-in of the Telegram Bot API: a real HTTP server that checks what it is sent.

In a test: ``with TelegramStandin() as telegram: telegram.root``. For other processes:
``python -m tests.standins.telegram --port 8081 --record calls.jsonl``, steered over HTTP under ``/_control/``:
``POST /_control/say {"text", "user_id", "chat_id", "name"}``, ``POST /_control/press {"data", …}``,
``POST /_control/fail {"method", "status", "description", "times", "retry_after"}``,
``GET /_control/sent``, ``GET /_control/calls``, ``GET /_control/state``.
"""

import argparse
import json
import re
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.standins.server import LOOKS_EVERY, Asked

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
RESERVED = set("_*[]()~`>#+-=|{}.!")
TEXT_LIMIT = 4096
PORTS = (None, 443, 80, 88, 8443)


class Refusal(Exception):
    """An answer with ``ok: false``."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters


def parse_markdown_v2(text: str) -> str:
    """The text that people see. Raises Refusal as the Bot API does for what it cannot parse."""
    shown: list[str] = []
    open_marks: list[str] = []
    index = 0
    while index < len(text):
        character = text[index]
        if character == "\\" and index + 1 < len(text) and ord(text[index + 1]) < 127:
            shown.append(text[index + 1])
            index += 2
            continue
        pair = text[index : index + 2]
        mark = pair if pair in ("__", "||") else character
        if mark in ("*", "_", "__", "~", "||"):
            if mark in open_marks:
                if open_marks[-1] != mark:
                    raise _unparsed(f"Can't find end of the entity starting at byte offset {index}")
                open_marks.pop()
            else:
                open_marks.append(mark)
            index += len(mark)
            continue
        if character in RESERVED:
            raise _unparsed(
                f"Character '{character}' is reserved and must be escaped with the preceding '\\'"
            )
        shown.append(character)
        index += 1
    if open_marks:
        raise _unparsed("Can't find end of an entity")
    return "".join(shown)


def _unparsed(why: str) -> Refusal:
    return Refusal(400, f"Bad Request: can't parse entities: {why}")


class TelegramStandin:
    """The server with everything it knows; thread-safe."""

    def __init__(
        self,
        port: int = 0,
        record: Path | None = None,
        token: str | None = TOKEN,
        host: str = "127.0.0.1",
    ) -> None:
        self.token = token
        self.calls: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.files: list[tuple[str, bytes]] = []
        self.chats: set[int] | None = None
        self.webhook: dict[str, Any] = {}
        self.webhook_error = ""
        self.webhook_error_at = 0.0
        self.confirmed = 0
        self._record = record
        self._updates: deque[dict[str, Any]] = deque()
        self._next_update = 1000
        self._next_message = 1
        self._failures: list[dict[str, Any]] = []
        self._polls = 0
        self._changed = threading.Condition()
        self._closing = False
        self._server = _Server((host, port), _Handler)
        self._server.standin = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOKS_EVERY,), daemon=True)

    @property
    def root(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> "TelegramStandin":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def serve(self) -> None:
        """Serve in this thread until interrupted."""
        self._server.serve_forever(0.2)

    # --- what a test does -------------------------------------------------------------------------

    def say(self, text: str, *, user_id: int = 7, chat_id: int | None = None, name: str = "Ann") -> int:
        """Somebody writes to the bot; gives the update's number."""
        chat = chat_id if chat_id is not None else user_id
        return self._add({"message": self._message(chat, text, user_id, name)})

    def press(self, data: str, *, user_id: int = 7, chat_id: int | None = None) -> int:
        """Somebody presses a button."""
        chat = chat_id if chat_id is not None else user_id
        author = {"id": user_id, "is_bot": False, "first_name": "Ann"}
        message = self._message(chat, "buttons", 1, "Bot")
        return self._add({"callback_query": {"id": "q1", "from": author, "message": message, "data": data}})

    def fail(
        self, method: str, status: int, description: str = "", *, times: int = 1, **parameters: Any
    ) -> None:
        """The next ``times`` calls of ``method`` fail. Status 0 closes the connection without an answer."""
        with self._changed:
            failure = {
                "method": method,
                "status": status,
                "description": description,
                "parameters": parameters,
            }
            self._failures.extend(failure for _ in range(times))

    def mend(self) -> None:
        """Nothing fails any more."""
        with self._changed:
            self._failures.clear()

    @property
    def texts(self) -> list[str]:
        """What people saw, in order."""
        return [message["text"] for message in self.sent]

    @property
    def pending(self) -> int:
        return len(self._updates)

    def count(self, method: str) -> int:
        return sum(call["method"] == method for call in self.calls)

    def _message(self, chat_id: int | str, text: str, user_id: int, name: str) -> dict[str, Any]:
        self._next_message += 1
        return {
            "message_id": self._next_message,
            "date": int(time.time()),
            "chat": {
                "id": chat_id,
                "type": "private" if isinstance(chat_id, int) and chat_id > 0 else "group",
            },
            "from": {"id": user_id, "is_bot": False, "first_name": name},
            "text": text,
        }

    def _add(self, update: dict[str, Any]) -> int:
        with self._changed:
            number = self._next_update
            self._next_update += 1
            self._updates.append({"update_id": number, **update})
            self._changed.notify_all()
            return number

    # --- the Bot API ------------------------------------------------------------------------------

    def answer(self, token: str, method: str, body: dict[str, Any]) -> Any:
        """The result of a method. Raises Refusal."""
        self._note({"method": method, "body": body, "at": time.time()})
        if not re.fullmatch(r"\d+:[A-Za-z0-9_-]+", token):
            raise Refusal(404, "Not Found")
        if self.token is not None and token != self.token:
            raise Refusal(401, "Unauthorized")
        failure = self._planned_failure(method)
        if failure:
            raise Refusal(failure["status"], failure["description"] or "planned", **failure["parameters"])
        implementation = getattr(self, f"_do_{method}", None)
        if implementation is None:
            raise Refusal(404, "Not Found: method not found")
        return implementation(body)

    def _planned_failure(self, method: str) -> dict[str, Any] | None:
        with self._changed:
            for failure in self._failures:
                if failure["method"] == method:
                    self._failures.remove(failure)
                    return failure
        return None

    def _note(self, call: dict[str, Any]) -> None:
        with self._changed:
            self.calls.append(call)
            if self._record:
                with self._record.open("a") as file:
                    file.write(json.dumps(call, ensure_ascii=False) + "\n")

    def _do_getMe(self, body: dict[str, Any]) -> Any:
        return {"id": 110201543, "is_bot": True, "first_name": "Mill", "username": "mill_test_bot"}

    def _do_sendMessage(self, body: dict[str, Any]) -> Any:
        chat, text = body.get("chat_id"), body.get("text")
        if isinstance(chat, str) and chat.lstrip("-").isdecimal():
            chat = int(chat)
        if chat in (None, ""):
            raise Refusal(400, "Bad Request: chat_id is empty")
        if self.chats is not None and chat not in self.chats:
            raise Refusal(400, "Bad Request: chat not found")
        if not isinstance(text, str):
            raise Refusal(400, "Bad Request: message text is empty")
        mode = body.get("parse_mode")
        if mode not in (None, "MarkdownV2"):
            raise Refusal(400, "Bad Request: unsupported parse_mode")
        shown = (parse_markdown_v2(text) if mode else text).strip()
        if not shown:
            raise Refusal(400, "Bad Request: message text is empty")
        if len(shown.encode("utf-16-le", "surrogatepass")) // 2 > TEXT_LIMIT:
            raise Refusal(400, "Bad Request: message is too long")
        _check_keyboard(body.get("reply_markup"))
        with self._changed:
            message = self._message(chat, shown, 1, "Mill")
            self.sent.append({**body, "text": shown, "raw": text, "message_id": message["message_id"]})
            self._changed.notify_all()
        return message

    def _do_editMessageText(self, body: dict[str, Any]) -> Any:
        found = [one for one in self.sent if one["message_id"] == body.get("message_id")]
        if not found:
            raise Refusal(400, "Bad Request: message to edit not found")
        text = str(body.get("text") or "")
        shown = parse_markdown_v2(text) if body.get("parse_mode") else text
        if shown == found[0]["text"] and body.get("reply_markup") == found[0].get("reply_markup"):
            raise Refusal(400, "Bad Request: message is not modified: specified new message content")
        _check_keyboard(body.get("reply_markup"))
        with self._changed:
            found[0].update({"text": shown, "raw": text, "reply_markup": body.get("reply_markup")})
            self._changed.notify_all()
        return {"message_id": body["message_id"]}

    def _do_sendPhoto(self, body: dict[str, Any]) -> Any:
        return self._file(body, "photo", 10_000_000)

    def _do_sendDocument(self, body: dict[str, Any]) -> Any:
        return self._file(body, "document", 50_000_000)

    def _file(self, body: dict[str, Any], field: str, limit: int) -> Any:
        name, content = body.get(field) or ("", b"")
        if not body.get("chat_id"):
            raise Refusal(400, "Bad Request: chat_id is empty")
        if not content or len(content) > limit:
            raise Refusal(400, "Bad Request: file must be non-empty")
        with self._changed:
            message = self._message(body["chat_id"], "", 1, "Mill")
            self.files.append((name, content))
            self._changed.notify_all()
        return message

    def _do_getUpdates(self, body: dict[str, Any]) -> Any:
        if self.webhook.get("url"):
            raise Refusal(
                409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook"
            )
        offset, wait = body.get("offset") or 0, min(float(body.get("timeout") or 0), 60.0)
        deadline = time.monotonic() + wait
        with self._changed:
            self._polls += 1
            mine = self._polls
            self._changed.notify_all()
            if offset > 0:
                # Asking with a higher offset confirms, and forgets, everything before it.
                while self._updates and self._updates[0]["update_id"] < offset:
                    self.confirmed = self._updates.popleft()["update_id"]
            while not self._updates and not self._closing and mine == self._polls:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            if mine != self._polls:
                raise Refusal(409, "Conflict: terminated by other getUpdates request")
            allowed = set(body.get("allowed_updates") or ["message", "callback_query"])
            return [u for u in list(self._updates)[: body.get("limit") or 100] if allowed & u.keys()]

    def _do_setWebhook(self, body: dict[str, Any]) -> Any:
        parts = urlsplit(str(body.get("url") or ""))
        secret = body.get("secret_token") or ""
        if parts.scheme != "https":
            raise Refusal(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if parts.port not in PORTS:
            raise Refusal(
                400, "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"
            )
        if "." not in (parts.hostname or ""):
            raise Refusal(400, "Bad Request: bad webhook: Failed to resolve host: Name or service not known")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
            raise Refusal(400, "Bad Request: secret token contains unallowed characters")
        self.webhook = dict(body)
        return True

    def _do_deleteWebhook(self, body: dict[str, Any]) -> Any:
        self.webhook = {}
        return True

    def _do_getWebhookInfo(self, body: dict[str, Any]) -> Any:
        info = {"url": self.webhook.get("url", ""), "pending_update_count": len(self._updates)}
        if not self.webhook_error:
            return info
        at = int(self.webhook_error_at or time.time())
        return {**info, "last_error_message": self.webhook_error, "last_error_date": at}

    def _do_answerCallbackQuery(self, body: dict[str, Any]) -> Any:
        if not body.get("callback_query_id"):
            raise Refusal(
                400, "Bad Request: query is too old and response timeout expired or query ID is invalid"
            )
        return True


def _check_keyboard(markup: Any) -> None:
    for row in (markup or {}).get("inline_keyboard", []):
        for button in row:
            if not 1 <= len(str(button.get("callback_data", "")).encode()) <= 64:
                raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")


def _is_form(headers: Any) -> bool:
    return str(headers.get("Content-Type") or "").startswith("multipart/form-data")


def _form(headers: Any, raw: bytes) -> dict[str, Any]:
    """The fields of a multipart form: text, or a file's name and content."""
    given = {name.lower(): value for name, value in headers.items()}
    parts = Asked("POST", "", {}, given, raw).parts
    return {key: (name, content) if name else content.decode() for key, (name, content) in parts.items()}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    standin: TelegramStandin


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        try:
            body = _form(self.headers, raw) if _is_form(self.headers) else json.loads(raw) if raw else {}
        except ValueError:
            self._reply(400, {"ok": False, "error_code": 400, "description": "Bad Request: not JSON"})
            return
        path = urlsplit(self.path).path
        if path.startswith("/_control/"):
            self._control(path.removeprefix("/_control/"), body)
            return
        match = re.fullmatch(r"/bot([^/]+)/(\w+)", path)
        if match is None:
            self._reply(404, {"ok": False, "error_code": 404, "description": "Not Found"})
            return
        try:
            result = self.server.standin.answer(match[1], match[2], body)
        except Refusal as refusal:
            self._refuse(refusal)
        else:
            self._reply(200, {"ok": True, "result": result})

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.status == 0:
            self.close_connection = True
            return
        if refusal.status >= 500:
            self._raw(refusal.status, b"<html>Bad Gateway</html>", "text/html")
            return
        answer: dict[str, Any] = {
            "ok": False,
            "error_code": refusal.status,
            "description": refusal.description,
        }
        if refusal.parameters:
            answer["parameters"] = refusal.parameters
        self._reply(refusal.status, answer)

    def _control(self, what: str, body: dict[str, Any]) -> None:
        standin = self.server.standin
        match what:
            case "say":
                self._reply(200, {"update_id": standin.say(**body)})
            case "press":
                self._reply(200, {"update_id": standin.press(**body)})
            case "fail":
                standin.fail(**body)
                self._reply(200, {})
            case "sent":
                self._reply(200, {"sent": standin.sent, "texts": standin.texts})
            case "calls":
                self._reply(200, {"calls": standin.calls})
            case "state":
                state = {
                    "webhook": standin.webhook,
                    "pending": standin.pending,
                    "confirmed": standin.confirmed,
                }
                self._reply(200, state)
            case _:
                self._reply(404, {})

    def _reply(self, status: int, answer: dict[str, Any]) -> None:
        self._raw(status, json.dumps(answer, ensure_ascii=False).encode(), "application/json")

    def _raw(self, status: int, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the record has everything."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path)
    parser.add_argument(
        "--token", default=None, help="the only token to accept; any well-formed one if absent"
    )
    options = parser.parse_args()
    standin = TelegramStandin(options.port, options.record, options.token)
    print(standin.root, flush=True)
    standin.serve()


if __name__ == "__main__":
    main()
