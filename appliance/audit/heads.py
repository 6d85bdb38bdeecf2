"""Signed heads: what makes a rewritten or shortened chain visible.

A chain alone proves only order. Each minute its head is signed and written to ``audit/heads.jsonl`` beside
the database; a copy of that file elsewhere (or of its last line) proves everything before it. Heads are
chained too: each names the digest of the one before, so that none can be left out unseen. The root of a tree over
the records since the head before (see tree.py) proves a single record without the others.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from appliance.audit.chain import Head
from appliance.audit.errors import ExportUnreadable, KeyUnusable
from appliance.lib.atomic import write_atomically
from appliance.lib.digest import canonical_json
from appliance.lib.folders import held_folder, inside
from appliance.lib.home import owner_of
from appliance.lib.jsontypes import JsonObject

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SignedHead:
    """One signed head. ``body`` is the exact text that is signed."""

    body: str
    signature: bytes
    number: int
    seq: int
    hash: bytes
    previous: str
    at: str
    first: int = 0
    """The first record under ``root``; 0 where an older version signed without one."""
    root: bytes = b""

    @classmethod
    def of(cls, body: str, signature: bytes) -> Self:
        """Raises ExportUnreadable."""
        try:
            said = json.loads(body)
            return cls(
                body=body,
                signature=signature,
                number=int(said["number"]),
                seq=int(said["seq"]),
                hash=bytes.fromhex(said["hash"]),
                previous=str(said["previous"]),
                at=str(said["at"]),
                first=int(said.get("first", 0)),
                root=bytes.fromhex(said.get("root", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExportUnreadable("a signed head cannot be read") from error

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()

    def line(self) -> bytes:
        return canonical_json({"body": self.body, "signature": self.signature.hex()}) + b"\n"

    @classmethod
    def of_line(cls, line: str | bytes) -> Self:
        """Raises ExportUnreadable."""
        try:
            said = json.loads(line)
            return cls.of(said["body"], bytes.fromhex(said["signature"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ExportUnreadable("a line of the signed heads cannot be read") from error


class Signer:
    """Holds the box's Ed25519 key. The public half is ``audit/audit_key.pub`` of the home, in hex."""

    def __init__(self, key: "Ed25519PrivateKey", box: str) -> None:
        self._key = key
        self._box = box

    @classmethod
    def of_home(cls, home: Path, box: str) -> Self:
        """The key of this home, made on first use. Raises KeyUnusable."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        file = home / "secrets" / "audit_key"
        try:
            if not file.exists():
                file.parent.mkdir(mode=0o700, exist_ok=True)
                key = Ed25519PrivateKey.generate().private_bytes_raw().hex().encode()
                write_atomically(file, key + b"\n", owner=_owner(home))
            signer = cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file.read_text().strip())), box)
            public = public_key_file(home)
            if not public.exists():
                put_in_home(home, public, signer.public_key.hex().encode() + b"\n", mode=0o644)
        except (OSError, ValueError) as error:
            raise KeyUnusable(f"the audit key {file} cannot be used: {error}") from error
        return signer

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(
        self, head: Head, previous: SignedHead | None, at: datetime, tree: tuple[int, bytes] | None = None
    ) -> SignedHead:
        """``tree``: the first record since the head before, and the root over all from there to this head."""
        said: JsonObject = {
            "at": at.astimezone(UTC).isoformat(),
            "box": self._box,
            "hash": head.hash.hex(),
            "number": previous.number + 1 if previous else 1,
            "previous": previous.digest if previous else "",
            "seq": head.seq,
        }
        if tree is not None:
            said |= {"first": tree[0], "root": tree[1].hex()}
        body = canonical_json(said)
        return SignedHead.of(body.decode(), self._key.sign(body))

    def sign_text(self, text: str) -> bytes:
        return self._key.sign(text.encode())

    def public_pem(self) -> bytes:
        """The public key as other tools read it (openssl)."""
        return pem_of(self.public_key)


def signed_by(public_key: bytes, text: str, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def pem_of(public_key: bytes) -> bytes:
    """A raw Ed25519 public key as SubjectPublicKeyInfo in PEM (RFC 8410: a fixed beginning, then the key)."""
    text = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + public_key).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n".encode()


def fingerprint(public_key: bytes) -> str:
    """What people compare by eye: SHA-256 of the key, its first 32 hex digits in groups of four."""
    text = hashlib.sha256(public_key).hexdigest()[:32]
    return " ".join(text[at : at + 4] for at in range(0, 32, 4))


def public_key_file(home: Path) -> Path:
    return home / "audit" / "audit_key.pub"


def heads_file(home: Path) -> Path:
    return home / "audit" / "heads.jsonl"


def read_heads(file: Path) -> Iterator[SignedHead]:
    """The heads of a file, in its order, without a torn last line. Raises ExportUnreadable."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield SignedHead.of_line(line)


class HeadsFile:
    """The append-only file of signed heads, locked while open."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = heads_file(home)

    def __enter__(self) -> Self:
        # By handle and through no link: root runs commands that come here, and the folder is the services' own.
        with held_folder(self._path.parent) as folder:
            self._handle = self._locked(folder)
            for handle in (folder, self._handle):
                give_to_home(self._home, handle)
        return self

    def _locked(self, folder: int) -> int:
        """The file of that name: while we waited for the lock another may have taken its place."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            handle = os.open(self._path.name, flags, 0o640, dir_fd=folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                named = os.stat(self._path.name, dir_fd=folder, follow_symlinks=False)
                if os.path.samestat(named, os.fstat(handle)):
                    return handle
            os.close(handle)

    def __exit__(self, *exception: Any) -> None:
        os.close(self._handle)

    def last_number(self) -> int:
        """The number of the last whole line. A torn one (power cut) is cut off: the database has it."""
        size = os.fstat(self._handle).st_size
        tail = os.pread(self._handle, 4096, max(0, size - 4096))
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            os.ftruncate(self._handle, size - len(torn))
        return SignedHead.of_line(whole.rpartition(b"\n")[2]).number if newline else 0

    def append(self, heads: Sequence[SignedHead]) -> None:
        os.lseek(self._handle, 0, os.SEEK_END)
        data = b"".join(head.line() for head in heads)
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)

    def begin_at(self, number: int) -> None:
        """Leave out the heads before that one, where it is there itself. The last thing that is done with the file."""
        with os.fdopen(os.dup(self._handle), "rb") as lines:
            lines.seek(0)
            kept = [line for line in lines if not _before(line, number)]
            whole = lines.tell()
        data = b"".join(kept)
        if len(data) < whole and kept and SignedHead.of_line(kept[0]).number == number:
            put_in_home(self._home, self._path, data, mode=0o640)


def _before(line: bytes, number: int) -> bool:
    return line.endswith(b"\n") and SignedHead.of_line(line).number < number


def give_to_home(home: Path, handle: int) -> None:
    """What root makes (a command, a stop) stays usable for the services' own user. ``handle``: of a file or folder."""
    if os.geteuid() == 0:
        os.fchown(handle, *owner_of(home))


def put_in_home(home: Path, file: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file into a folder of the home, the home's own, through no link. Raises HomeUnusable, OSError."""
    with held_folder(file.parent) as folder:
        write_atomically(inside(folder) / file.name, data, mode=mode, owner=_owner(home))
        give_to_home(home, folder)


def _owner(home: Path) -> tuple[int, int] | None:
    return owner_of(home) if os.geteuid() == 0 else None
