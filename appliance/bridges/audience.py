"""In which chats people of a role are reached: each one that is linked to an active person of it, once."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.bridges.registry import bridges

FEED = ("webchat", "")
"""The web admin's feed: always one of them, in the language that most people of this box have."""

MOST_CHATS = 200

Chat = tuple[str, str, str]
"""Platform, conversation and language."""

_LINKED = """
(SELECT 'webchat', '', coalesce((SELECT language FROM accounts_user WHERE is_active AND language <> ''
    GROUP BY language ORDER BY count(*) DESC, language LIMIT 1), 'en'), 'webchat', true)
UNION ALL
(SELECT i.platform, i.last_conversation, u.language, coalesce(p.kind, i.platform), p.enabled
FROM bridges_chatidentity i JOIN accounts_user u ON u.id = i.person_id
LEFT JOIN bridges_platform p ON p.name = i.platform
WHERE u.is_active AND i.last_conversation <> '' AND accounts_role_on(u.username, %(task)s::text) = ANY(%(roles)s)
    AND (%(names)s::text[] IS NULL OR u.username = ANY(%(names)s::text[]))
ORDER BY i.id LIMIT %(most)s)
"""


def chats_of(roles: Sequence[str], task: str | None = None, names: Sequence[str] = ()) -> list[Chat]:
    """The chats of everybody with one of ``roles`` (on this task, where it is about one) and of ``names``, if any."""
    with django_connection.cursor() as cursor:
        cursor.execute(_LINKED, _values(roles, task, names))
        return _live(cursor.fetchall())


async def chats_of_async(
    connection: AsyncConnection[Any], roles: Sequence[str], task: str | None = None, names: Sequence[str] = ()
) -> list[Chat]:
    """As ``chats_of``, on an asynchronous connection. Without a task the people's own roles count."""
    cursor = await connection.cursor(row_factory=tuple_row).execute(_LINKED, _values(roles, task, names))
    return _live(await cursor.fetchall())


def _values(roles: Sequence[str], task: str | None, names: Sequence[str]) -> dict[str, Any]:
    return {"roles": list(roles), "task": task, "names": list(names) or None, "most": MOST_CHATS}


def _live(rows: Iterable[Sequence[Any]]) -> list[Chat]:
    found: dict[tuple[str, str], str] = {}
    for platform, conversation, language, kind, enabled in rows:
        if (platform, conversation) == FEED:
            found[FEED] = language
            continue
        factory = bridges().get(kind)
        configured = enabled if enabled is not None else bool(factory and factory.builtin and factory.shown)
        if factory is not None and factory.build is not None and configured:
            found.setdefault((platform, conversation), language)
    return [(platform, conversation, language) for (platform, conversation), language in found.items()]
