"""For which texts an encoder may be asked. An English one makes the same of on and off in Chinese (facts, 5.2)."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.inference.embeddings.contract import Encoder, cosine
from appliance.inference.embeddings.normalising import latin_share

_UNLIKE = (("打开车间的灯", "取消明天会议"), ("哪些设备离线", "他昨晚吃鱼了"))
"""As long as each other, and about nothing in common: only whoever knows no Chinese finds them alike."""
_ALIKE = 0.95
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


def reads_of(encoder: Encoder) -> Reads:
    """Found out by asking: an encoder to which unlike Chinese sentences are the same is for Latin script alone.

    Raises MillwrightError where it is away.
    """
    vectors = encoder.encode([text for pair in _UNLIKE for text in pair])
    rows = [vectors.row(number) for number in range(vectors.rows)]
    return Reads(latin_only=any(cosine(rows[at], rows[at + 1]) > _ALIKE for at in range(0, len(rows), 2)))
