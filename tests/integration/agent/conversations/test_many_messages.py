"""Rooms of many people, and conversations of many questions: what is looked up at each message stays small."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from appliance.accounts.models import User
from appliance.agent.conversations import services, sql, starting
from appliance.agent.conversations.models import AgentConversation, AgentMessage
from appliance.agent.conversations.starting import Where, begins_anew
from appliance.events.models import EventRow
from appliance.lib.identity import uuid7
from appliance.processes import chat_results
from tests.integration.agent.conversations.conftest import Talk
from tests.scripted_model import end

ROOM = Where("telegram", "hall", private=False)
SAY = """
INSERT INTO agent_message
    (conversation_id, speaker, author, text, platform, place, outside, run_id, key, detail, at, over)
SELECT %s, 'person', 'p' || lpad((n %% 70)::text, 2, '0'), 'x', 'telegram', 'hall', true, gen_random_uuid(),
    'k' || n, '{}', now(), true FROM generate_series(1, 3000) n
"""


async def room(talk: Talk) -> AgentConversation:
    """3,000 questions of 70 people."""
    by = await sync_to_async(lambda: User.objects.get(username="anna").principal)()
    found = await sync_to_async(starting.conversation_of)(by, ROOM, talk.clock.now())
    await talk.sql(SAY, found.pk)
    await talk.sql("ANALYZE agent_message")
    return found


def explained(query: str, values: dict[str, Any]) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", values)
        (plans,) = cursor.fetchone()
    found: dict[str, Any] = (json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]
    return found


async def test_everybody_in_a_large_room_is_told_of_what_is_said_there(talk: Talk) -> None:
    found = await room(talk)
    by = await sync_to_async(lambda: User.objects.get(username="anna").principal)()
    await sync_to_async(starting.heard)(by, ROOM, "hello", talk.clock.now(), key="chat/x")
    event = await EventRow.objects.filter(type="conversation.said").alast()
    assert event is not None
    assert event.data["people"] == ["anna", *(f"p{number:02d}" for number in range(70))]
    plan = await sync_to_async(explained)(sql.PEOPLE, {"conversation_id": found.pk})
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 600, "of 71 names, not of 3,000 messages"


async def test_what_is_under_way_is_found_without_a_look_at_what_is_over(talk: Talk) -> None:
    found = await room(talk)
    plan = await sync_to_async(explained)(sql.UNDER_WAY, {"conversation_id": found.pk})
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20


async def under_way(talk: Talk) -> UUID | None:
    return await sync_to_async(_under_way)()


def _under_way() -> UUID | None:
    by = User.objects.get(username="anna").principal
    own = services.own(by)
    assert own is not None
    return services.under_way(by, own.pk)


async def test_the_oldest_that_has_not_ended_is_under_way(talk: Talk) -> None:
    talk.says(end("82 °C."), end("Yes."))
    await talk.tell("how hot would you say it is over there?")
    first = (await talk.newest_run())["id"]
    await talk.tell("and would you say that this is too much?")
    assert await under_way(talk) == first
    await talk.work()
    assert await under_way(talk) is None, "the run's row says so at once"
    await talk.delivered()
    assert await AgentMessage.objects.filter(speaker="person", over=True).acount() == 2
    assert await under_way(talk) is None


async def test_beginning_anew_leaves_one_line(talk: Talk) -> None:
    talk.says(end("82 °C."), end("Of what?"))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    await talk.tell("new conversation")
    await talk.tell("new conversation")
    await talk.tell("what was that you said about the heat?")
    await talk.work()
    kept = [row async for row in AgentMessage.objects.order_by("id")]
    assert [row.speaker for row in kept] == ["person", "agent", "box", "person", "agent"]
    assert [begins_anew(row) for row in kept] == [False, False, True, False, False]


async def test_denials_go_with_their_time(talk: Talk) -> None:
    found = await room(talk)
    await talk.sql(
        "INSERT INTO agent_denial (conversation_id, run_id, call, at) VALUES (%s, %s, 'mqtt {}', %s)",
        found.pk,
        uuid7(),
        talk.clock.now() - timedelta(days=91),
    )
    await sync_to_async(services.prune)(talk.clock.now(), timedelta(days=90))
    assert await talk.count("agent_denial") == 0


async def test_what_is_waited_for_no_more_is_over_where_its_run_has_ended(talk: Talk) -> None:
    """Also where the run's row is gone by then."""
    for text in ("how hot would you say it is?", "and is this too much?", "and what would you do?"):
        await talk.tell(text)
    first, second, _ = await talk.sql("SELECT id FROM runs_run WHERE split_id IS NULL ORDER BY id")
    await talk.sql("UPDATE runs_run SET state = 'failed' WHERE id = %s", first["id"])
    await talk.sql("DELETE FROM runs_run WHERE id = %s", second["id"])
    long_ago = talk.clock.now() - chat_results.KEPT - timedelta(days=1)
    await talk.sql("UPDATE processes_chatstart SET at = %s", long_ago)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chat_results, "MOST", 0)  # a long line of those that have ended
        await talk.delivered()
    assert await talk.count("processes_chatstart") == 0
    assert [row.over async for row in AgentMessage.objects.order_by("id")] == [True, True, False]
