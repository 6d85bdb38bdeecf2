"""Vectors that cost a model's time are kept: a restart reads them instead of making them again."""

import hashlib
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from django.db import connection, transaction

from appliance.inference.embeddings import sql
from appliance.inference.embeddings.contract import Encoder, Matrix
from appliance.inference.embeddings.normalising import normalised

AT_ONCE = 256
MOST_KEPT = 20_000
"""Vectors of one encoder; beyond it the oldest go."""


class VectorStore(Protocol):
    def read(self, digest: str, texts: Sequence[str]) -> dict[str, bytes]: ...

    def write(self, digest: str, found: Mapping[str, bytes]) -> None: ...


class DatabaseVectors:
    """The table ``inference_vector``: by the encoder's digest and that of the normalised text."""

    def read(self, digest: str, texts: Sequence[str]) -> dict[str, bytes]:
        keys = {_key(text): text for text in texts}
        with connection.cursor() as cursor:
            wanted: dict[str, Any] = {"encoder": digest, "texts": list(keys)}
            cursor.execute(sql.READ_VECTORS, wanted)
            return {keys[key]: bytes(values) for key, values in cursor.fetchall()}

    def write(self, digest: str, found: Mapping[str, bytes]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for text, values in sorted(found.items()):
                row: dict[str, Any] = {"encoder": digest, "text": _key(text), "values": values}
                cursor.execute(sql.KEEP_VECTOR, row)
            cursor.execute(sql.PRUNE_VECTORS, {"encoder": digest, "most": MOST_KEPT})


class KeptEncoder:
    """An encoder that is asked only for what is not in the store. Vectors are kept as float16, half as large."""

    def __init__(self, encoder: Encoder, store: VectorStore) -> None:
        self._encoder = encoder
        self._store = store
        self.name, self.digest, self.size = encoder.name, encoder.digest, encoder.size

    def encode(self, texts: Sequence[str]) -> Matrix:
        """As the encoder says, but for the last bits."""
        wanted = [normalised(text) for text in texts]
        values = array("f")
        for start in range(0, len(wanted), AT_ONCE):
            values.extend(self._some(wanted[start : start + AT_ONCE]))
        return Matrix(self.size, values)

    def _some(self, texts: Sequence[str]) -> Iterable[float]:
        known = self._store.read(self.digest, texts)
        known = {text: kept for text, kept in known.items() if len(kept) == 2 * self.size}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            made = self._encoder.encode(missing)
            new = {text: packed(made.row(index)) for index, text in enumerate(missing)}
            self._store.write(self.digest, new)
            known |= new
        values = array("f")
        for text in texts:
            values.extend(unpacked(known[text]))
        return values


def packed(row: Sequence[float]) -> bytes:
    """IEEE 754 half precision, little end first."""
    return struct.pack(f"<{len(row)}e", *row)


def unpacked(kept: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(kept) // 2}e", kept)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
