"""Proposals of a served encoder: only for sentences in a script that it reads, and checked as any other."""

import logging
from array import array
from collections.abc import Iterable, Sequence
from operator import mul

from appliance.agent.router.domain import How, Intent, Meaning, Proposal
from appliance.agent.router.reading import Reading
from appliance.inference.embeddings.contract import Encoder
from appliance.inference.embeddings.scripts import Reads
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

ENOUGH = 0.5
MOST = 3


class EncodedProposer:
    """``warm`` before it is asked, in a thread: it takes a second for a thousand sentences, and none when kept."""

    def __init__(self, encoder: Encoder, reads: Reads, intents: Iterable[Intent]) -> None:
        self._encoder = encoder
        self._reads = reads
        self._known: list[tuple[str, str]] = [
            (text, intent.id) for intent in intents for text in intent.exemplars if reads.takes(text)
        ]
        self._rows: tuple[array[float], ...] = ()
        self._away = False

    @property
    def digest(self) -> str:
        return self._encoder.digest

    def warm(self, kept: Encoder | None = None) -> None:
        """``kept`` is the same encoder, which remembers; what strangers write is not for it.

        Raises MillwrightError where the model is away: then it proposes nothing until the next try.
        """
        vectors = (kept or self._encoder).encode([text for text, _ in self._known])
        self._rows = tuple(vectors.row(place) for place in range(vectors.rows))

    def propose(self, reading: Reading) -> Iterable[Proposal]:
        """The intents of the nearest sentences; nothing for another script, or while the model is away."""
        if not self._rows or not self._reads.takes(reading.text):
            return []
        try:
            asked = self._encoder.encode([reading.core]).row(0)
        except MillwrightError as error:
            # Each sentence of each chat comes here: only the first one says so.
            log.log(
                logging.DEBUG if self._away else logging.INFO,
                "the router goes without its encoder: %s",
                error,
            )
            self._away = True
            return []
        if self._away:
            self._away = False
            log.info("the router has its encoder again")
        return self._nearest(asked)

    def _nearest(self, asked: Sequence[float]) -> list[Proposal]:
        best: dict[str, tuple[float, str]] = {}
        for row, (text, intent) in zip(self._rows, self._known, strict=True):
            score = sum(map(mul, row, asked))
            if score >= ENOUGH and score > best.get(intent, (0.0, ""))[0]:
                best[intent] = (score, text)
        ordered = sorted(best.items(), key=lambda one: -one[1][0])[:MOST]
        return [
            Proposal(Meaning(intent), How.ENCODER, min(score, 1.0), text) for intent, (score, text) in ordered
        ]
