"""Who has answered, and what becomes of the messages that asked."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.escalations import services
from appliance.escalations.domain import Way
from appliance.escalations.errors import EscalationNotFound, EscalationSettled, NobodyKnown
from tests.integration.escalations.conftest import Shift

ANA = Principal("user:ana", Role.OPERATOR)
BEN = Principal("user:ben", Role.OPERATOR)


async def ack(shift: Shift, ref: str, by: Principal = ANA, key: str = "") -> str:
    row = await sync_to_async(services.acknowledge)(ref, by, shift.clock.now(), Way.CHAT, key=key)
    return row.settled_by


async def settlements(shift: Shift) -> list[dict[str, Any]]:
    return await shift.sql(
        "SELECT platform, conversation, message FROM outbox_item WHERE message ? 'settles' ORDER BY seq"
    )


async def test_an_answer_ends_it_and_edits_all_that_was_sent(shift: Shift) -> None:
    new = await shift.open()
    await shift.delivered()
    await shift.later(minutes=10)
    await shift.delivered()
    assert await ack(shift, new.code.lower()) == "user:ana"
    at = f"{shift.clock.now():%m-%d %H:%M} UTC"
    first, second = [one for one in await settlements(shift) if one["platform"] == "telegram"]
    assert first["message"]["text"] == f"pump 7 is hot\nat 91 C\nAcknowledged by ana, {at}"
    assert "buttons" not in first["message"]
    assert "aloud" not in first["message"]
    assert second["conversation"] == "2"
    assert second["message"]["text"].startswith("Nobody has acknowledged this for 10m:\npump 7 is hot")
    assert second["message"]["aloud"].startswith("Acknowledged by ana")
    await shift.later(days=1)
    assert (await shift.row())["state"] == "acknowledged"
    assert (await shift.events())[-1] == "escalation.acknowledged"
    (record,) = await shift.sql(
        "SELECT principal FROM audit_record WHERE kind = 'escalation.acknowledged' AND subject = %s",
        str(new.id),
    )
    assert record["principal"] == "user:ana"


async def test_what_was_not_sent_yet_is_not_sent_any_more(shift: Shift) -> None:
    new = await shift.open()
    await shift.delivered()
    await shift.later(minutes=10)
    await ack(shift, new.code)
    rows = await shift.sql("SELECT state, reason FROM outbox_item WHERE conversation = '2'")
    assert rows == [{"state": "expired", "reason": "it was settled before it was sent"}]
    assert [one["conversation"] for one in await settlements(shift)] == ["1"]


async def test_the_first_answer_counts_and_the_same_command_again_is_the_same(shift: Shift) -> None:
    new = await shift.open()
    assert await ack(shift, new.code, key="chat/telegram/1/0") == "user:ana"
    assert await ack(shift, new.code, key="chat/telegram/1/0") == "user:ana"
    with pytest.raises(EscalationSettled, match="ana has acknowledged"):
        await ack(shift, new.code, BEN)
    assert (await shift.events()).count("escalation.acknowledged") == 1


async def test_one_that_is_exhausted_can_still_be_answered(shift: Shift) -> None:
    new = await shift.open()
    for _ in range(3):
        await shift.later(minutes=10)
    assert (await shift.row())["state"] == "exhausted"
    await ack(shift, str(new.id))
    assert (await shift.row())["state"] == "acknowledged"


async def test_only_a_known_person_who_may_run_tasks_answers(shift: Shift) -> None:
    new = await shift.open()
    for nobody in (Principal("user:vic", Role.VIEWER), Principal("device:pump", Role.VIEWER)):
        with pytest.raises(NotAllowed):
            await ack(shift, new.code, nobody)
    with pytest.raises(NobodyKnown):
        await ack(shift, new.code, Principal("trigger:guard/hot", Role.ADMIN))
    with pytest.raises(EscalationNotFound):
        await ack(shift, "ZZZZZZ")
    assert (await shift.row())["state"] == "open"


async def test_whoever_may_end_runs_withdraws_it(shift: Shift) -> None:
    new = await shift.open()
    await shift.delivered()
    await sync_to_async(services.withdraw)(new.code, CONSOLE, shift.clock.now(), Way.API)
    assert (await shift.row())["state"] == "withdrawn"
    (told,) = await settlements(shift)
    assert "Withdrawn by console" in told["message"]["text"]


async def test_a_conversation_knows_what_it_was_told_of(shift: Shift) -> None:
    new = await shift.open()
    await shift.delivered()

    async def here(platform: str, conversation: str) -> list[str]:
        return [row.code for row in await sync_to_async(services.here)(platform, conversation)]

    assert await here("telegram", "1") == [new.code]
    assert await here("telegram", "2") == []
    await shift.later(minutes=10)
    assert await here("telegram", "2") == [new.code]
    assert await here("webchat", "user:ana") == [new.code]
    await ack(shift, new.code)
    assert await here("telegram", "1") == []


async def test_what_was_settled_long_ago_is_forgotten_and_what_waits_is_not(shift: Shift) -> None:
    new = await shift.open("settled")
    await shift.open("waits")
    await ack(shift, new.code)
    await shift.later(days=40)
    assert await sync_to_async(services.prune)(shift.clock.now()) == 1
    assert (await shift.row())["title"] == "waits"
