"""What Feishu's stand-in says and understands: messages as people see them, events, and signed calls."""

import base64
import hashlib
import itertools
import json
import os
import re
import time
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

APP_ID = "cli_9f5343c580712544"
TENANT = "2ca1d211f64f6438"
CHAT = "oc_5ce6d572455d361153b7cb51da133945"
ENCRYPT_KEY = "an-encrypt-key-of-the-app-0123"
VERIFICATION = "rvaYgkND1GOiu5MM0E1rncYC6PLtF7JV"
_numbers = itertools.count(1)

_MARKUP = re.compile(
    r'<at user_id="[^"]*">.*?</at>|\*\*(?P<bold>.+?)\*\*|<(?P<tag>[ius])>(?P<styled>.*?)</(?P=tag)>'
    r"|\[(?P<words>[^\[\]]*)\]\((?P<link>[^()\s]+)\)",
    re.S,
)
_EMOJI = re.compile(r":[A-Za-z][A-Za-z0-9_]*:")


class Refusal(Exception):
    def __init__(self, status: int, code: int, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


def read_message(kind: str, content: Any, size: int, keys: dict[str, str]) -> dict[str, Any]:
    """What arrives: ``shown``, ``buttons`` and what came ``alive``. ``size`` is that of the request in bytes."""
    if not isinstance(content, str):
        raise Refusal(400, 230001, "content is not a string in json format")
    if size > (150_000 if kind == "text" else 30_000):
        raise Refusal(400, 230025, "The length of the message content reaches its limit.")
    try:
        told = json.loads(content)
    except ValueError as error:
        raise Refusal(400, 230001, "ext=invalid message content") from error
    made: dict[str, Any] = {
        "kind": kind,
        "shown": None,
        "buttons": [],
        "alive": [],
        "card": None,
        "raw": content,
    }
    match kind:
        case "text":
            if told.keys() != {"text"} or not told["text"]:
                raise Refusal(400, 230001, "ext=invalid message content")
            made["alive"] = [found[0] for found in _MARKUP.finditer(told["text"])]
            made["shown"] = _MARKUP.sub(_rendered, told["text"])
        case "interactive":
            made.update(_card(told))
        case "image" | "file":
            key = f"{kind}_key"
            if told.keys() != {key} or keys.get(told[key]) != kind:
                raise Refusal(400, 230017, "Bot is NOT the owner of the resource.")
        case _:
            raise Refusal(400, 230001, "msg_type")
    return made


def shown_of(text: str) -> str:
    """As people see it: without the character that nobody sees."""
    return text.replace("\u2060", "")


def _rendered(found: re.Match[str]) -> str:
    return found["bold"] or found["styled"] or found["words"] or "@somebody"


def _card(card: dict[str, Any]) -> dict[str, Any]:
    """Structure 1.0, as far as the box uses it. Anything else is refused."""
    alive: list[str] = []

    def plain(text: Any, limit: int = 100_000) -> str:
        if text.keys() != {"tag", "content"} or text["tag"] != "plain_text" or len(text["content"]) > limit:
            raise Refusal(400, 230099, "Failed to create card content, ext=ErrCode: 200621")
        alive.extend(_EMOJI.findall(text["content"]))
        return shown_of(text["content"])

    if card.keys() - {"config", "header", "elements"} or not card["elements"]:
        raise Refusal(400, 230099, "Failed to create card content, ext=ErrCode: 200621")
    shown = [plain(card["header"]["title"])] if "header" in card else []
    buttons = []
    for element in card["elements"]:
        match element["tag"]:
            case "div":
                shown.append(plain(element["text"]))
            case "action":
                for one in element["actions"]:
                    if one["tag"] != "button" or not isinstance(one["value"], dict):
                        raise Refusal(400, 230099, "Failed to create card content")
                    buttons.append((plain(one["text"], 100), one["value"]))
            case tag:
                raise Refusal(400, 230099, f"ErrCode: 200861; unsupported tag {tag}")
    return {"shown": "\n".join(shown), "buttons": buttons, "alive": alive, "card": card}


# --- events -----------------------------------------------------------------------------------------


def event_of(kind: str, event: dict[str, Any], **header: Any) -> dict[str, Any]:
    made = {
        "event_id": f"5e3702a84e847582be8db7fb{next(_numbers):08x}",
        "event_type": kind,
        "create_time": str(int(time.time() * 1000)),
        "token": VERIFICATION,
        "app_id": APP_ID,
        "tenant_key": TENANT,
    }
    return {"schema": "2.0", "header": {**made, **header}, "event": event}


def message_event(
    text: str, *, user: str = "7", chat: str = CHAT, chat_type: str = "p2p", kind: str = "text", **more: Any
) -> dict[str, Any]:
    """``mentions`` are pairs of an open_id and a name; the text has ``@_user_1`` and so on."""
    header = {key: more[key] for key in ("app_id", "tenant_key", "event_id") if key in more}
    message = {
        "message_id": more.get("message_id") or f"om_5ce6d572455d3611{next(_numbers):016x}",
        "create_time": "1609073151345",
        "chat_id": chat,
        "chat_type": chat_type,
        "message_type": kind,
        "content": more.get("content") or json.dumps({"text": text}, ensure_ascii=False),
    }
    if "mentions" in more:
        message["mentions"] = [
            {"key": f"@_user_{number}", "id": {"open_id": one}, "name": name, "tenant_key": TENANT}
            for number, (one, name) in enumerate(more["mentions"], 1)
        ]
    sender = {"sender_id": {"open_id": user}, "sender_type": more.get("sender", "user"), "tenant_key": TENANT}
    return event_of("im.message.receive_v1", {"sender": sender, "message": message}, **header)


def press_event(data: str, *, user: str = "7", chat: str = CHAT) -> dict[str, Any]:
    return event_of(
        "card.action.trigger",
        {
            "operator": {"tenant_key": TENANT, "open_id": user},
            "token": "c-295ee57216a5dc9de90fefd0aadb4b1d7d",
            "action": {"value": {"millwright": data}, "tag": "button"},
            "host": "im_message",
            "context": {"open_message_id": "om_1", "open_chat_id": chat},
        },
    )


# --- calls ------------------------------------------------------------------------------------------


def encrypted(payload: Any, key: str = ENCRYPT_KEY) -> bytes:
    data = json.dumps(payload, ensure_ascii=False).encode()
    data += bytes([16 - len(data) % 16]) * (16 - len(data) % 16)
    iv = os.urandom(16)
    sealer = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(iv)).encryptor()
    sealed = base64.b64encode(iv + sealer.update(data) + sealer.finalize()).decode()
    return json.dumps({"encrypt": sealed}).encode()


def call_of(
    payload: Any, *, key: str = ENCRYPT_KEY, at: float | None = None, body: bytes | None = None
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a call, encrypted and signed."""
    made = encrypted(payload, key) if body is None else body
    stamp, nonce = str(int(time.time() if at is None else at)), "n0nce"
    digest = hashlib.sha256((stamp + nonce + key).encode() + made).hexdigest()
    return {
        "X-Lark-Request-Timestamp": stamp,
        "X-Lark-Request-Nonce": nonce,
        "X-Lark-Signature": digest,
    }, made
