"""How a secret rests: AES-256-GCM under a key that is named, bound to what it was sealed for.

``mw1`` | key id (8 bytes) | nonce (12 bytes) | ciphertext with its tag. The purpose is the associated data: what was
sealed for one thing opens for no other, and rows cannot be swapped. Keys derive from the lines of the root key file
(HKDF, RFC 5869), the newest first; older lines only open. What earlier versions sealed (Fernet, with the purpose
inside) opens too, until it is sealed anew.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.safety.errors import NotOpened

MARK = b"mw1"
_ID, _NONCE = 8, 12
_ABOUT = b"millwright secret v1"


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the root key file: the key that is used, and the name that stands in what it sealed."""

    id: bytes
    secret: bytes
    line: str

    @classmethod
    def of(cls, line: str) -> "Key":
        """Raises ValueError for a line that is no key."""
        Fernet(line)  # 32 bytes, as URL-safe base64
        secret = HKDF(SHA256(), 32, salt=None, info=_ABOUT).derive(line.encode())
        name = Hash(SHA256())
        name.update(_ABOUT + secret)
        return cls(name.finalize()[:_ID], secret, line)


class Ring:
    """The keys of a box, the newest first; there is at least one."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._keys = [Key.of(line) for line in lines]

    @property
    def newest(self) -> str:
        """The name of the key that seals now, as people read it."""
        return self._keys[0].id.hex()

    def seal(self, purpose: str, text: str) -> bytes:
        key, nonce = self._keys[0], os.urandom(_NONCE)
        return MARK + key.id + nonce + AESGCM(key.secret).encrypt(nonce, text.encode(), purpose.encode())

    def open(self, purpose: str, sealed: bytes) -> str:
        """What was sealed for this purpose. Raises NotOpened."""
        if not sealed.startswith(MARK):
            return self._open_former(purpose, sealed)
        body = sealed[len(MARK) :]
        name, nonce, rest = body[:_ID], body[_ID : _ID + _NONCE], body[_ID + _NONCE :]
        key = next((one for one in self._keys if one.id == name), None)
        if key is None:
            raise NotOpened(f"it names the key {name.hex()}, and the box has none of that name")
        try:
            return AESGCM(key.secret).decrypt(nonce, rest, purpose.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise NotOpened("it was sealed under another name, or has been changed") from error

    def _open_former(self, purpose: str, sealed: bytes) -> str:
        try:
            plain = MultiFernet([Fernet(key.line) for key in self._keys]).decrypt(sealed)
            said, text = json.loads(plain)
        except (InvalidToken, ValueError) as error:
            raise NotOpened("no key of the box opens it") from error
        if said != purpose:
            raise NotOpened("it was sealed under another name")
        return str(text)


def key_of(sealed: bytes) -> str:
    """The name of the key that it needs; empty for what an earlier version sealed."""
    return sealed[len(MARK) : len(MARK) + _ID].hex() if sealed.startswith(MARK) else ""
