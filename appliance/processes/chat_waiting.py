"""That what somebody asked for waits for a person's word, told in the same conversation, once for each word."""

from datetime import UTC
from typing import Any

from django.utils.translation import gettext, override
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from appliance.lib.identity import time_of
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from appliance.processes.chat_buttons import SHORT

PRIORITY = 5
# An approval of the run itself, or of what its agent calls for: a shard's run has it as its parent.
_WAITS = """
UPDATE processes_chatstart c SET told_of = a.id FROM safety_approval a JOIN runs_run r ON r.id = a.run_id
WHERE c.answers AND a.state = 'open' AND (c.told_of IS NULL OR a.id > c.told_of)
    AND c.run_id IN (r.id, r.parent_run_id)
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
