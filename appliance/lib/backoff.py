"""How long to wait before the next attempt."""

import random


def delay(attempt: int, *, base: float = 1.0, cap: float = 60.0, jitter: float = 0.25) -> float:
    """Seconds before attempt number ``attempt + 1``: exponential, capped, spread by ±``jitter``.

    ``attempt`` counts from 1 (one attempt has failed).
    """
    plain = min(cap, base * 2.0 ** min(attempt - 1, 30))
    return float(plain) * (1 + jitter * (2 * random.random() - 1))  # noqa: S311 - spread, not a secret
