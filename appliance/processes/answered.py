"""Commands by the names that their callers gave them: the same one, sent again, gets the same answer and does nothing.

All of it in the caller's transaction, so that what was done and what is answered are committed together. A second
caller with the same key waits for the end of the first one's. Kept for two days (see housekeeping).
"""

import json
from datetime import datetime
from typing import Any

from appliance.lib.jsontypes import JsonObject

_CLAIM = "INSERT INTO processes_commandanswered (key, at, reply) VALUES (%s, %s, '{}') ON CONFLICT DO NOTHING"
_KNOWN = "SELECT reply FROM processes_commandanswered WHERE key = %s"
_KEEP = "UPDATE processes_commandanswered SET reply = %s::jsonb WHERE key = %s"
_LET_GO = "DELETE FROM processes_commandanswered WHERE key = %s"


def claim(cursor: Any, key: str, now: datetime) -> JsonObject | None:
    """None: the name is new, and the caller's. Else what was answered under it."""
    cursor.execute(_CLAIM, [key, now])
    if cursor.rowcount:
        return None
    cursor.execute(_KNOWN, [key])
    kept = cursor.fetchone()[0]
    found: JsonObject = json.loads(kept) if isinstance(kept, str) else kept
    return found


def keep(cursor: Any, key: str, reply: JsonObject) -> None:
    cursor.execute(_KEEP, [json.dumps(reply), key])


def let_go(cursor: Any, key: str) -> None:
    """What failed may be asked again under its name."""
    cursor.execute(_LET_GO, [key])
