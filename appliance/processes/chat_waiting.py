"""That what somebody asked for waits for a person's word, told in the same conversation, once for each word."""

from datetime import UTC
from typing import Any

from django.utils.translation import gettext, override
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from appliance.lib.identity import time_of
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from appliance.runs.naming import SHORT

PRIORITY = 5
# An approval of the run itself, of what its agents call for, however deep inside of it they work, or of a run that it
# has called and waits for; one that it merely started has no parent. Of several that are open the oldest comes first,
# and the next one the next time.
_WAITS = """
WITH RECURSIVE up AS (
    SELECT a.id AS approval, r.id, r.parent_run_id
    FROM safety_approval a JOIN runs_run r ON r.id = a.run_id WHERE a.state = 'open'
    UNION ALL
    SELECT up.approval, r.id, r.parent_run_id FROM up JOIN runs_run r ON r.id = up.parent_run_id
), next AS (
    SELECT DISTINCT ON (c.run_id) c.run_id, up.approval FROM processes_chatstart c JOIN up ON up.id = c.run_id
    WHERE c.answers AND (c.told_of IS NULL OR up.approval > c.told_of) ORDER BY c.run_id, up.approval
)
UPDATE processes_chatstart c SET told_of = a.id FROM next JOIN safety_approval a ON a.id = next.approval
WHERE c.run_id = next.run_id
RETURNING c.run_id, c.platform, c.conversation, c.language, a.id AS approval, a.task, a.expires_at
"""


async def tell_waiting(connection: AsyncConnection[Any]) -> None:
    """Of runs that answer somebody in a chat, in the caller's transaction."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_WAITS)
    for row in await cursor.fetchall():
        await enqueue(connection, _item(row))


def _item(row: dict[str, Any]) -> OutboxItem:
    with override(row["language"]):
        said = gettext(
            "%(task)s proposes something, which waits for an approval until %(until)s UTC: run %(run)s."
        )
    until = f"{row['expires_at'].astimezone(UTC):%m-%d %H:%M}"
    return OutboxItem(
        key=f"chat-waits/{row['approval']}",
        platform=row["platform"],
        conversation=row["conversation"],
        message={"text": said % {"task": row["task"], "until": until, "run": str(row["run_id"])[-SHORT:]}},
        at=time_of(row["approval"]),
        expires_at=row["expires_at"],
        priority=PRIORITY,
    )
