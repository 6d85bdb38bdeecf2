"""What strangers try at the box's doors, on record: each kind of refusal, but never a flood of them.

Whoever guesses passwords or knocks from a foreign page would otherwise decide how fast the audit record grows.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from appliance.accounts.models import User
from appliance.audit.services import append_here
from appliance.lib.jsontypes import JsonObject

EACH = 6
"""Records a minute of one kind about one address."""
ALL = 60
"""Records a minute together."""
_MINUTE = 60.0
_MOST_KNOWN = 1000


class Few:
    """Lets a few a minute through, for each key and together, and counts the rest."""

    def __init__(
        self, each: int = EACH, together: int = ALL, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._each, self._together, self._now = each, together, now
        self._lock = Lock()
        self._since = 0.0
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._passed = self._left_out = 0

    def passes(self, key: str) -> int | None:
        """How many were left out since the last one that passed; None: this one is left out too."""
        with self._lock:
            if self._now() - self._since >= _MINUTE:
                self._since, self._passed = self._now(), 0
                self._counts.clear()
            count = self._counts.get(key, 0)
            if count >= self._each or self._passed >= self._together or len(self._counts) >= _MOST_KNOWN:
                self._left_out += 1
                return None
            self._counts[key] = count + 1
            self._passed += 1
            left_out, self._left_out = self._left_out, 0
            return left_out


_few = Few()
_one = Few(each=1)
_known = Few(together=10 * ALL)
"""Of who is known: they leave no stranger's refusal out, however often they come."""


def note(kind: str, who: str, address: str, detail: JsonObject) -> None:
    """Append a refusal to the audit record. Never raises because there were too many."""
    _append(_few.passes(f"{kind} {address}"), kind, who, address, detail)


def note_program(kind: str, who: str, address: str, detail: JsonObject) -> None:
    """As ``note``, of a program with a token: a few a minute of each kind of each token."""
    _append(_known.passes(f"{kind} {who}"), kind, who, address, detail)


def _append(left_out: int | None, kind: str, who: str, address: str, detail: JsonObject) -> None:
    if left_out is None:
        return
    more: JsonObject = {"left_out": left_out} if left_out else {}
    append_here(kind, who, f"address/{address or 'unknown'}", {**detail, **more})


def note_webhook(name: str, address: str, why: str) -> None:
    """Put a refused call of the webhook ``name`` on record, one a minute; "" stands for all that nobody listens on.

    A record says how many calls, of any webhook, were left out since the last one.
    """
    subject = f"webhook/{name or 'unknown'}"
    left_out = _one.passes(subject)
    if left_out is None:
        return
    more: JsonObject = {"left_out": left_out} if left_out else {}
    append_here("webhook.refused", "stranger", subject, {"from": address, "case": why, **more})


def known_name(typed: str) -> str:
    """A typed user name as it may stand on record: people type passwords into that field by mistake."""
    name = typed.replace("\x00", "")[:150]
    return f"user:{name}" if name and User.objects.filter(username=name).exists() else "stranger"
