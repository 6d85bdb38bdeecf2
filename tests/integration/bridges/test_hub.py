"""The hub keeps bridges alive by the configuration, and messages wait until they can go."""

from datetime import timedelta

import pytest

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, Principal
from appliance.bridges import health, identities, services
from appliance.bridges.models import ChatIdentity, Platform
from appliance.bridges.ports import ProbeState
from appliance.lib.clock import SystemClock
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from appliance.safety import allstop
from tests.standins.telegram import TOKEN
from tests.wait import wait_for_async

from .conftest import House, in_thread

NOW = SystemClock().now


async def test_a_notification_reaches_the_feed_and_its_run(house: House) -> None:
    async with house.living():
        item = await house.put("pump 3 is hot", "webchat")
        await house.until(item, "delivered")
        assert await house.chat() == [("feed", "pump 3 is hot")]
        await wait_for_async(lambda: house.runs.heard == [("delivered", "tell")])
    [(data,)] = await house.rows("SELECT data FROM events_event WHERE type = 'feed.message'")
    assert data["text"] == "pump 3 is hot"


async def test_a_message_for_a_person_reaches_only_a_person_that_exists(house: House) -> None:
    async with house.living():
        good = await house.put("for you", "webchat", "ann")
        bad = await house.put("for nobody", "webchat", "bob")
        await house.until(good, "delivered")
        await house.until(bad, "failed", "nobody here is called 'bob'")
    assert await house.chat() == [("user:ann", "for you")]


async def test_a_message_waits_through_the_whole_set_up_of_a_platform(house: House, ann: User) -> None:
    """No platform, no token, no recipient: each is said, and mending it sends the message at once."""
    async with house.living():
        item = await house.put("hello", "telegram")
        await house.until(item, "pending", "not configured")
        await in_thread(services.save_platform, {"name": "telegram", "auth": "BOT_TOKEN"}, CONSOLE, NOW())
        await house.until(item, "pending", "BOT_TOKEN is not set")
        await in_thread(services.save_platform, {"name": "telegram", "auth": TOKEN}, CONSOLE, NOW())
        await house.until(item, "pending", "no recipient yet")
        house.telegram.say("hi", user_id=77, name="Ann")

        async def stranger() -> int:
            [*found] = await house.rows("SELECT id FROM bridges_chatidentity WHERE person_id IS NULL")
            return int(found[0][0]) if found else 0

        number = await wait_for_async(stranger)
        assert house.telegram.sent == [], "a stranger gets no answer"
        await in_thread(identities.link_identity, number, ann, CONSOLE)
        await house.until(item, "delivered")
    assert [(sent["chat_id"], sent["text"]) for sent in house.telegram.sent] == [(77, "hello")]


async def test_the_first_start_of_a_linked_person_makes_them_the_recipient(house: House, ann: User) -> None:
    def set_up() -> None:
        services.save_platform({"name": "telegram", "auth": TOKEN}, CONSOLE, NOW())
        ChatIdentity.objects.create(
            platform="telegram", user_id="77", person=ann, first_seen=NOW(), last_seen=NOW()
        )

    await in_thread(set_up)
    async with house.living():
        item = await house.put("hello", "telegram")
        await house.until(item, "pending", "no recipient yet")
        house.telegram.say("/start", user_id=77)
        await house.until(item, "delivered")
        await wait_for_async(lambda: len(house.telegram.texts) == 2)
    assert "hello" in house.telegram.texts


async def test_a_platform_without_a_bridge_fails_clearly_and_breaks_nothing(house: House) -> None:
    known = {"name": "pigeon", "kind": "pigeon", "config": {"name": "pigeon"}, "updated_at": NOW()}
    await in_thread(Platform.objects.create, **known)
    async with house.living():
        item = await house.put("hello", "pigeon")
        fine = await house.put("hello", "webchat")
        await house.until(item, "failed", "this version has no bridge for pigeon")
        await house.until(fine, "delivered")
    [view] = [v for v in await in_thread(services.platforms) if v.name == "pigeon"]
    assert (view.state, view.available) == (ProbeState.UNAVAILABLE, False)


async def test_bridges_follow_the_configuration(house: House) -> None:
    values = {"name": "telegram", "auth": TOKEN, "chat_id": 5}
    await in_thread(services.save_platform, values, CONSOLE, NOW())
    async with house.living() as hub:
        await wait_for_async(lambda: "telegram" in hub.live())
        before = hub.live()["telegram"]
        await in_thread(services.save_platform, {**values, "chat_id": 6}, CONSOLE, NOW())
        await wait_for_async(lambda: hub.live().get("telegram") not in (None, before))
        item = await house.put("hello", "telegram")
        await house.until(item, "delivered")
        assert house.telegram.sent[0]["chat_id"] == 6
        await in_thread(services.set_enabled, "telegram", False, CONSOLE)
        await wait_for_async(lambda: "telegram" not in hub.live())
        await in_thread(services.set_enabled, "telegram", True, CONSOLE)
        await wait_for_async(lambda: "telegram" in hub.live())

        async def healthy() -> bool:
            view = await in_thread(services.platform, "telegram")
            return (view.state, view.identity) == (ProbeState.OK, "@mill_test_bot")

        await wait_for_async(healthy)


async def test_a_box_that_is_cut_off_sends_nothing_out_and_keeps_its_own_chat(house: House) -> None:
    await in_thread(services.save_platform, {"name": "telegram", "auth": TOKEN, "chat_id": 5}, CONSOLE, NOW())
    async with house.living() as hub:
        await wait_for_async(lambda: "telegram" in hub.live())
        await in_thread(allstop.engage, allstop.Level.CUT, "leak", CONSOLE, NOW())
        try:
            item = await house.put("out", "telegram")
            inside = await house.put("in", "webchat")
            await house.until(inside, "delivered")
            await house.until(item, "pending", "all-stop")
            await wait_for_async(lambda: "telegram" not in hub.live())
            assert house.telegram.sent == []
        finally:
            await in_thread(allstop.release, "over", Principal("user:ana", Role.ADMIN), NOW())
        await house.until(item, "delivered")


async def test_a_hub_starts_and_stops_while_telegram_is_away(house: House) -> None:
    values = {"name": "telegram", "auth": TOKEN, "chat_id": 5, "api_root": "http://127.0.0.1:1"}
    await in_thread(services.save_platform, values, CONSOLE, NOW())
    async with house.living() as hub:
        item = await house.put("hello", "telegram")
        await house.until(item, "pending", "cannot be reached")
        await wait_for_async(lambda: hub.troubles()["telegram"].state is ProbeState.AWAY)


async def test_a_platform_that_goes_deaf_is_told_once_and_so_is_its_return(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "IN_TROUBLE_EVERY", 1.05)
    monkeypatch.setattr(health, "PROBE_EVERY", 1.05)
    monkeypatch.setattr(health, "DEAF_AFTER", timedelta(seconds=0.5))
    values = {"name": "telegram", "auth": TOKEN, "chat_id": 5}
    await in_thread(services.save_platform, values, CONSOLE, NOW())
    kinds = "SELECT kind FROM audit_record WHERE kind LIKE 'platform.%%' AND subject = 'platform/telegram' ORDER BY seq"
    events = (
        "SELECT type FROM events_event WHERE type IN ('platform.deaf', 'platform.back') ORDER BY xact, seq"
    )

    async def told(sql: str, wanted: list[str]) -> bool:
        return [row[0] for row in await house.rows(sql)] == wanted

    async with house.living() as hub:
        await wait_for_async(lambda: "telegram" in hub.live())
        house.telegram.fail("getMe", 502, times=1)
        await wait_for_async(lambda: house.telegram.count("getMe") >= 3)
        assert await told(events, []), "one lost answer is not deafness"
        house.telegram.fail("getMe", 502, times=4)
        await wait_for_async(lambda: told(events, ["platform.deaf", "platform.back"]), 20)
    rows = [row[0] for row in await house.rows(kinds)]
    assert rows[-2:] == ["platform.deaf", "platform.back"]


async def test_a_long_text_goes_as_a_file_and_a_short_one_under_the_message(house: House) -> None:
    values = {"name": "telegram", "auth": TOKEN, "chat_id": 42}
    await in_thread(services.save_platform, values, CONSOLE, NOW())
    log = "\n".join(f"ERROR 错误 {number}" for number in range(2000))
    async with house.living():
        for attached in ("one line", log):
            given = OutboxItem(
                f"k/{len(attached)}", "telegram", {"text": "it failed", "attach": attached}, at=NOW()
            )
            async with house.pool.connection() as connection, connection.transaction():
                item = await enqueue(connection, given)
            await house.until(item, "delivered")
    assert house.telegram.texts == ["it failed\n\none line", "it failed"]
    assert house.telegram.files == [("log.txt", log.encode())]
