"""What a box that is upgraded knew of denials, and of what is over, it knows afterwards."""

from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from appliance.accounts.models import User
from appliance.agent.conversations import starting
from appliance.agent.conversations.models import AgentDenial, AgentMessage
from appliance.agent.conversations.starting import Where
from appliance.lib.identity import uuid7
from tests.integration.agent.conversations.conftest import Talk
from tests.scripted_model import end

MIGRATION = import_module("appliance.agent.migrations.0005_answers_and_denials")
HOME = Where("telegram", "c7", private=True)


def migrate() -> None:
    """As on an upgrade; the second time it finds everything there."""
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(MIGRATION.DENIED_OF_BEFORE)
            cursor.execute(MIGRATION.OVER_OF_BEFORE)


def fact(topic: str, fate: str) -> dict[str, str]:
    return {"call": f'mqtt {{"topic": "{topic}"}}', "fate": fate}


def answered(talk: Talk, facts: Any, *, speaker: str = "agent") -> AgentMessage:
    by = User.objects.get(username="anna").principal
    conversation = starting.conversation_of(by, HOME, talk.clock.now())
    detail = {} if facts is None else {"facts": facts, "amber": True}
    return AgentMessage.objects.create(
        conversation=conversation,
        speaker=speaker,
        author="hands",
        text="It was not allowed.",
        run_id=uuid7(),
        detail=detail,
        at=talk.clock.now(),
    )


async def test_what_people_had_denied_is_kept(talk: Talk) -> None:
    def before() -> list[AgentMessage]:
        first = {"did": [fact("x", "done")], "not_done": [fact("a", "denied"), fact("b", "failed")]}
        second = {"not_done": [fact("d", "denied"), fact("c", "denied"), fact("d", "denied")]}
        odd: list[Any] = [None, {}, {"not_done": "?"}, {"not_done": [3, {"fate": "denied"}]}, []]
        rows = [answered(talk, one) for one in (first, second, *odd)]
        answered(talk, first, speaker="person")
        return rows

    rows = await sync_to_async(before)()
    await sync_to_async(migrate)()
    kept = [
        (row.conversation_id, row.run_id, row.call, row.at)
        async for row in AgentDenial.objects.order_by("id")
    ]
    assert kept == [
        (row.conversation_id, row.run_id, f'mqtt {{"topic": "{topic}"}}', row.at)
        for row, topic in ((rows[0], "a"), (rows[1], "d"), (rows[1], "c"))
    ]


async def test_only_what_goes_on_is_still_under_way(talk: Talk) -> None:
    talk.says(end("82 °C."))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    await talk.tell("and would you say that this is too much?")
    await sync_to_async(answered)(talk, None, speaker="person")  # its run's row is gone
    await sync_to_async(migrate)()
    rows = [row async for row in AgentMessage.objects.order_by("id")]
    assert [(row.speaker, row.over) for row in rows] == [
        ("person", True),
        ("agent", False),
        ("person", False),
        ("person", True),
    ]
