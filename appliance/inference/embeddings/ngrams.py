"""Hashed character n-grams: vectors in any language without a model, the same in every process and version."""

import hashlib
import zlib
from array import array
from collections.abc import Iterator, Sequence
from math import log, sqrt

from appliance.inference.embeddings.contract import Matrix
from appliance.inference.embeddings.normalising import is_chinese, normalised

SCHEME = "ngrams-2-4/nfkc-lower/crc32-fibonacci/log-count/1"
"""Change it whenever a text would get another vector: it is part of the digest."""
BITS = 12
SHORTEST, LONGEST = 2, 4
MOST_CHARACTERS = 500
_FIBONACCI = 2654435761

Sparse = dict[int, float]


class NgramEncoder:
    """``sparse`` is what the box uses; ``encode`` gives the same as a matrix, for what compares encoders."""

    name = "ngrams"
    size = 1 << BITS
    digest = hashlib.sha256(f"{SCHEME}/{BITS}".encode()).hexdigest()

    def sparse(self, text: str) -> Sparse:
        """Dimension to weight, of length 1; empty for an empty text. Counts are damped by a logarithm."""
        counts: dict[int, int] = {}
        for gram in grams(normalised(text)[:MOST_CHARACTERS]):
            place = place_of(gram, BITS)
            counts[place] = counts.get(place, 0) + 1
        weights = {place: 1.0 + log(count) for place, count in counts.items()}
        length = sqrt(sum(weight * weight for weight in weights.values()))
        return {place: weight / length for place, weight in weights.items()}

    def encode(self, texts: Sequence[str]) -> Matrix:
        values = array("f", bytes(4 * self.size * len(texts)))
        for row, text in enumerate(texts):
            for place, weight in self.sparse(text).items():
                values[row * self.size + place] = weight
        return Matrix(self.size, values)


def grams(text: str) -> Iterator[str]:
    """Two to four characters each, words with a blank at both ends. A Chinese character is a word for itself too."""
    padded = f" {text} " if text else ""
    for length in range(SHORTEST, LONGEST + 1):
        for start in range(len(padded) - length + 1):
            yield padded[start : start + length]
    yield from (one for one in text if is_chinese(one))


def place_of(gram: str, bits: int) -> int:
    """CRC-32 (ISO 3309), spread by Knuth's multiplicative hash: the upper bits of a CRC alone are much alike."""
    return (zlib.crc32(gram.encode()) * _FIBONACCI & 0xFFFFFFFF) >> (32 - bits)
