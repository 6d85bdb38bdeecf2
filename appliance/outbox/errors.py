"""What a bridge says to the sender when a message did not get through."""

import math

from appliance.lib.errors import MillwrightError

LONGEST_PAUSE = 3600.0
"""Seconds for which a platform that asked for patience is left alone at most."""


class OutboxRefused(MillwrightError):
    """The item cannot go into the outbox: it says too little about itself."""

    code = "outbox.refused"


class ItemNotFound(MillwrightError):
    code = "outbox.not_found"


class ItemBusy(MillwrightError):
    """The item is under way, delivered or given up: what was asked of it comes too late."""

    code = "outbox.not_now"


class DeliveryError(MillwrightError):
    """The message was not confirmed; the same message may get through later.

    ``maybe_sent`` is True when the platform may have accepted it (the answer was lost): the next attempt is
    marked as a possible repeat. ``parts_done`` counts the parts of a split message that were confirmed.
    """

    code = "outbox.delivery"
    permanent = False

    def __init__(
        self, message: str, *, hint: str | None = None, maybe_sent: bool = False, parts_done: int = 0
    ) -> None:
        super().__init__(message, hint=hint)
        self.maybe_sent = maybe_sent
        self.parts_done = parts_done


class PlatformAway(DeliveryError):
    """The platform cannot be reached: no network, a proxy that is down, a server error."""

    code = "outbox.platform_away"


class DeliveryDeferred(DeliveryError):
    """The platform asked for patience: ``retry_after`` seconds, at most an hour."""

    code = "outbox.deferred"

    def __init__(self, message: str, *, retry_after: float, parts_done: int = 0) -> None:
        super().__init__(message, parts_done=parts_done)
        # It is the platform's word, and may be nonsense.
        self.retry_after = min(max(retry_after, 0.0), LONGEST_PAUSE) if math.isfinite(retry_after) else 5.0


class NotReady(DeliveryError):
    """Nothing was tried: something that a person can mend is missing (a token, a recipient)."""

    code = "outbox.not_ready"


class DeliveryRefused(DeliveryError):
    """The platform will never take this message; trying again is pointless."""

    code = "outbox.delivery_refused"
    permanent = True
