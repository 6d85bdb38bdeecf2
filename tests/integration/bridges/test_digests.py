"""A digest on a real platform: one message, in the language of its reader, that the next one replaces."""

from datetime import timedelta
from typing import Any

from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.bridges import mutes, services
from appliance.bridges.models import ChatIdentity
from appliance.lib.clock import SystemClock
from appliance.lib.identity import uuid7
from appliance.outbox.ports import Digest, OutboxItem, Parcel
from appliance.outbox.services import enqueue
from tests.standins.telegram import TOKEN

from .conftest import House, in_thread

NOW = SystemClock().now
ABOUT = "task/overheat/tell"


async def put(house: House, count: int, platform: str, conversation: str | None = None) -> list[OutboxItem]:
    items = []
    for number in range(count):
        key, message = f"{platform}/{conversation}/{number}", {"text": f"pump {number} is hot"}
        items.append(OutboxItem(key, platform, {**message}, conversation, at=NOW(), about=ABOUT))
    async with house.pool.connection() as connection, connection.transaction():
        for item in items:
            await enqueue(connection, item)
    return items


def parcel(item: OutboxItem, digest: Digest, **more: Any) -> Parcel:
    return Parcel(
        uuid7(),
        "k",
        item.platform,
        None,
        {"text": "now"},
        1,
        0,
        False,
        None,
        "",
        ABOUT,
        digest=digest,
        **more,
    )


async def test_a_storm_is_one_message_in_its_readers_language_and_the_next_takes_its_place(
    house: House, ann: User
) -> None:
    def set_up() -> None:
        User.objects.filter(pk=ann.pk).update(language="zh-hans")
        services.save_platform({"name": "telegram", "auth": TOKEN, "chat_id": 5}, CONSOLE, NOW())
        known = {"last_conversation": "5", "first_seen": NOW(), "last_seen": NOW()}
        ChatIdentity.objects.create(platform="telegram", user_id="77", person=ann, **known)

    await in_thread(set_up)
    items = await put(house, 8, "telegram")
    async with house.living() as hub:
        for item in items:
            await house.until(item.id, "delivered", "told in a digest of 8")
        [text] = house.telegram.texts
        assert "overheat/tell 的消息共 8 条；最后一条：\npump 7 is hot" in text
        receipt = await hub.deliver(parcel(items[0], Digest(11, NOW(), replaces=items[-1].id)))
        assert receipt.detail == {"edited": True}
        [text] = house.telegram.texts
        assert "消息共 11 条；最后一条：\nnow" in text
        house.telegram.sent.clear()
        receipt = await hub.deliver(parcel(items[0], Digest(12, NOW(), replaces=items[-1].id)))
        assert receipt.detail == {}, "the message is gone: a new one says it"
        assert len(house.telegram.texts) == 1


async def test_an_operator_switches_digests_off_and_the_loopback_has_none(house: House) -> None:
    known = {"name": "telegram", "auth": TOKEN, "chat_id": 5, "digest": False}
    await in_thread(services.save_platform, known, CONSOLE, NOW())
    async with house.living() as hub:
        for item in await put(house, 7, "loopback"):
            await house.until(item.id, "delivered")
        for item in await put(house, 7, "webchat"):
            await house.until(item.id, "delivered", "told in a digest of 7")
        rules = [hub.digests(name) for name in ("telegram", "loopback", "nowhere")]
    assert rules == [None, None, None]
    assert len(await house.chat("loopback")) == 7
    [(_, text)] = await house.chat("webchat")
    assert text.startswith("7 messages about overheat/tell since ")


async def test_a_mute_in_one_chat_holds_its_storm_there_and_tells_it_as_one_when_it_ends(
    house: House, ann: User
) -> None:
    await in_thread(services.save_platform, {"name": "telegram", "auth": TOKEN}, CONSOLE, NOW())
    end = NOW() + timedelta(hours=1)
    await in_thread(mutes.set_mute, "telegram", "7", "task/overheat", end, ann.principal, NOW())
    muted, others = await put(house, 8, "telegram", "7"), await put(house, 8, "telegram", "8")
    async with house.living():
        for item in others:
            await house.until(item.id, "delivered", "told in a digest of 8")
        for item in muted:
            await house.until(item.id, "held", "muted by ann until")
        assert [sent["chat_id"] for sent in house.telegram.sent] == [8]
        ended = await in_thread(mutes.end_mutes, "telegram", "7", "", ann.principal)
        assert ended == {"task/overheat": 8}
        for item in muted:
            await house.until(item.id, "delivered", "told in a digest of 8")
    assert [sent["chat_id"] for sent in house.telegram.sent] == [8, 7]
