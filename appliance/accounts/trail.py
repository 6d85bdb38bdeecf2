"""Where changes of accounts are put on record.

Accounts and audit are siblings and do not import each other; the application above both wires this once, at
start (see appliance/safety/apps.py).
"""

import logging
from typing import Protocol

from appliance.lib.jsontypes import JsonMapping

log = logging.getLogger(__name__)


class Trail(Protocol):
    def __call__(self, kind: str, principal: str, subject: str, detail: JsonMapping) -> None:
        """Append to the audit record in the current transaction."""
        ...


def _log_only(kind: str, principal: str, subject: str, detail: JsonMapping) -> None:
    log.warning("not wired to the audit record: %s %s %s %s", kind, principal, subject, dict(detail))


_trail: Trail = _log_only


def wire(trail: Trail) -> None:
    global _trail
    _trail = trail


def put(kind: str, principal: str, subject: str, detail: JsonMapping) -> None:
    """Put a change on record in the current transaction."""
    _trail(kind, principal, subject, detail)
