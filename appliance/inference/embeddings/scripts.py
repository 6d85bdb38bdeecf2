"""For which texts an encoder may be asked. An English one makes the same of on and off in Chinese (facts, 5.2)."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.inference.embeddings.normalising import latin_share

MOST_UNKNOWN = 0.2
"""Share of a text's tokens that the vocabulary may not know."""


@dataclass(frozen=True, slots=True)
class Reads:
    """``latin_only``: trained on Latin script. ``unknown_share`` counts unknown tokens, where that can be asked."""

    latin_only: bool = True
    unknown_share: Callable[[str], float] | None = None

    def takes(self, text: str) -> bool:
        if self.unknown_share is not None and self.unknown_share(text) > MOST_UNKNOWN:
            return False
        return not self.latin_only or latin_share(text) >= 1.0 - MOST_UNKNOWN
