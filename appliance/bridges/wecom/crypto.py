"""How WeCom signs and hides what it says to a callback (developer.work.weixin.qq.com/document/path/90968)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.bridges.signing import same
from appliance.bridges.wecom.config import WecomConfig
from appliance.outbox.errors import NotReady

BLOCK = 32
"""Bytes that the padding fills up to: more than AES' own 16."""
_RANDOM, _LENGTH = 16, 4
_KEY = re.compile(r"[A-Za-z0-9]{43}")


class Unreadable(Exception):
    """Not made with this key, or not for this company."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The three things that an app's callback has in common with WeCom."""

    token: str
    key: bytes
    corp_id: str

    @classmethod
    def of(cls, config: WecomConfig, secrets: Mapping[str, str]) -> "Seal":
        """Raises NotReady for a key that cannot be one, or a configuration without."""
        if config.token is None or config.encoding_aes_key is None:
            raise NotReady("the webhook has no token and no encoding_aes_key")
        given = secrets[config.encoding_aes_key.root].strip()
        if not _KEY.fullmatch(given):
            raise NotReady(
                "the encoding_aes_key cannot be one",
                hint="43 letters and digits; it stands under Receive messages on the app's page",
            )
        return cls(secrets[config.token.root].strip(), base64.b64decode(f"{given}="), config.corp_id)

    def signature(self, timestamp: str, nonce: str, sealed: str) -> str:
        """40 hexadecimal digits."""
        joined = "".join(sorted((self.token, timestamp, nonce, sealed)))
        return hashlib.sha1(joined.encode()).hexdigest()  # noqa: S324 - what WeCom signs with

    def open(self, sealed: str) -> bytes:
        """What is in it: 16 random bytes, a length, the message, and whom it is for. Raises Unreadable."""
        try:
            hidden = base64.b64decode(sealed, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Unreadable from error
        if not hidden or len(hidden) % BLOCK:
            raise Unreadable
        decryptor = Cipher(algorithms.AES(self.key), modes.CBC(self.key[:16])).decryptor()
        plain = _without_padding(decryptor.update(hidden) + decryptor.finalize())
        start = _RANDOM + _LENGTH
        length = int.from_bytes(plain[_RANDOM:start], "big")
        # A length beyond the end leaves no receiver, and is refused with the others'.
        message, receiver = plain[start : start + length], plain[start + length :]
        if not same(receiver.decode("latin-1"), self.corp_id):
            raise Unreadable
        return message


def _without_padding(plain: bytes) -> bytes:
    """PKCS#7 with blocks of 32 bytes, every byte of it looked at. Raises Unreadable."""
    count = plain[-1]
    if not 1 <= count <= BLOCK or plain[-count:] != bytes([count]) * count:
        raise Unreadable
    return plain[:-count]
