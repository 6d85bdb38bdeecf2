"""The calls that WeCom makes, signed and hidden as 90968 says. Written from the text alone, apart from the bridge."""

import base64
import hashlib
import os
import struct
import time
from dataclasses import dataclass
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

CORP = "ww5823bf96d3bd56c7"
AGENT = 1000002
TOKEN = "callback-token-QDG6eK"
AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


@dataclass(frozen=True)
class WecomCaller:
    """Somebody who calls: WeCom, or who would like to be taken for it."""

    token: str = TOKEN
    aes_key: str = AES_KEY
    corp: str = CORP
    agent: int = AGENT

    def message(self, text: str, *, user: str = "7", number: int = 1234567890123456) -> bytes:
        """The XML of a member's text."""
        return self._xml(user, f"{_data('MsgType', 'text')}{_data('Content', text)}<MsgId>{number}</MsgId>")

    def press(
        self, key: str, *, user: str = "7", task_id: str = "t1", code: str = "code", at: int = 1348831860
    ) -> bytes:
        """The XML of a member's press."""
        return self._xml(
            user,
            _data("MsgType", "event") + _data("Event", "template_card_event") + _data("EventKey", key)
            + _data("TaskId", task_id) + _data("CardType", "button_interaction") + _data("ResponseCode", code),
            at,
        )  # fmt: skip

    def event(self, name: str, *, user: str = "7", at: int = 1348831860) -> bytes:
        """The XML of an event of no interest."""
        return self._xml(user, _data("MsgType", "event") + _data("Event", name) + _data("EventKey", ""), at)

    def _xml(self, user: str, rest: str, at: int = 1348831860) -> bytes:
        head = f"{_data('ToUserName', self.corp)}{_data('FromUserName', user)}<CreateTime>{at}</CreateTime>"
        return f"<xml>{head}{rest}<AgentID>{self.agent}</AgentID></xml>".encode()

    def call(self, plain: bytes, at: float | None = None) -> tuple[dict[str, str], bytes]:
        """Query and body of a call that says ``plain``."""
        sealed = self.sealed(plain)
        head, agent = _data("ToUserName", self.corp), _data("AgentID", str(self.agent))
        return self.signed(sealed, at), f"<xml>{head}{_data('Encrypt', sealed)}{agent}</xml>".encode()

    def question(self, plain: bytes, at: float | None = None) -> dict[str, str]:
        """The query of the call that asks whether this is the right box."""
        sealed = self.sealed(plain)
        return {**self.signed(sealed, at), "echostr": sealed}

    def signed(self, sealed: str, at: float | None = None) -> dict[str, str]:
        stamp, nonce = str(int(at if at is not None else time.time())), os.urandom(5).hex()
        joined = "".join(sorted([self.token, stamp, nonce, sealed]))
        signature = hashlib.sha1(joined.encode()).hexdigest()
        return {"msg_signature": signature, "timestamp": stamp, "nonce": nonce}

    def sealed(self, plain: bytes) -> str:
        whole = os.urandom(16) + struct.pack(">I", len(plain)) + plain + self.corp.encode()
        count = 32 - len(whole) % 32
        return self.hidden(whole + bytes([count]) * count)

    def hidden(self, padded: bytes) -> str:
        """AES alone, for what is not put together as it should be."""
        key = base64.b64decode(self.aes_key + "=")
        encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def _data(name: str, text: str) -> str:
    if "]]>" in text:
        return f"<{name}>{escape(text)}</{name}>"
    return f"<{name}><![CDATA[{text}]]></{name}>"
