"""A chart goes with its message: as a photo where pictures go, in words elsewhere, the same at each attempt."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from appliance.accounts.principal import CONSOLE
from appliance.bridges import services, settling
from appliance.bridges.pictures import picture_of, pictures_of
from appliance.devices.charts.domain import ChartSpec
from appliance.devices.charts.illustrating import ChartIllustrator
from appliance.devices.charts.studio import Studio
from appliance.escalations.notices import asking
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import Digest, OutboxItem, Parcel
from appliance.outbox.services import enqueue
from tests.standins.telegram import TOKEN

from .conftest import House, in_thread

UNTIL = datetime.now(UTC).replace(microsecond=0)
TOPIC = "plant/a/temp"
ABOUT = "task/overheat/tell"
BROKEN = Studio(("-c", "import sys; sys.exit('no paint')"))


class Charts:
    """Messages with charts, of a topic whose readings a test says."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.flushed = 0

    async def flush(self) -> None:
        self.flushed += 1

    def illustrator(self, studio: Studio) -> ChartIllustrator:
        return ChartIllustrator(self.house.pool, self.flush, studio)

    async def measured(self, *values: float) -> None:
        for number, value in enumerate(reversed(values)):
            at = UNTIL - timedelta(seconds=number)
            await self.house.rows(
                "INSERT INTO devices_reading VALUES (%s, '', %s, %s, %s, %s) RETURNING 1",
                *(TOPIC, at, value, value, value),
            )

    async def tell(self, platform: str, conversation: str | None) -> tuple[UUID, UUID]:
        """Give a message away; gives its run and its item."""
        [found] = await self.give(platform, conversation, message("hot"))
        return found

    async def storm(self, platform: str, conversation: str | None) -> list[tuple[UUID, UUID]]:
        """Eight about the same, which leave as one."""
        eight = [message(f"hot {number}") for number in range(8)]
        return await self.give(platform, conversation, *eight, about=ABOUT)

    async def give(
        self, platform: str, conversation: str | None, *messages: JsonObject, about: str = ""
    ) -> list[tuple[UUID, UUID]]:
        found = []
        async with self.house.pool.connection() as connection, connection.transaction():
            for one in messages:
                run = uuid7()
                item = OutboxItem(
                    f"{run}/tell", platform, one, conversation, run_id=run, step_id="tell", about=about
                )
                found.append((run, await enqueue(connection, item)))
        return found


def message(text: str) -> JsonObject:
    spec = ChartSpec((TOPIC,), "", UNTIL - timedelta(hours=1), UNTIL, 80.0)
    return {"text": text, "chart": spec.to_json()}


def next_digest(platform: str, conversation: str | None, replaces: UUID) -> Parcel:
    """Three more about the same."""
    parcel = Parcel(uuid7(), "next", platform, conversation, message("hotter"), 1, 0, False, None, "", ABOUT)
    return replace(parcel, digest=Digest(11, UNTIL, replaces=replaces))


@pytest.fixture
async def charts(house: House) -> Charts:
    await house.rows("DELETE FROM devices_reading RETURNING 1")
    await in_thread(services.save_platform, {"name": "telegram", "auth": TOKEN}, CONSOLE, datetime.now(UTC))
    return Charts(house)


async def test_a_chart_arrives_as_a_photo_and_is_on_the_page_of_its_run(charts: Charts) -> None:
    await charts.measured(20, 60, 83.1)
    house = charts.house
    async with house.living(charts.illustrator(Studio())):
        run, item = await charts.tell("telegram", "77")
        await house.until(item, "delivered")
    [(name, content)] = house.telegram.files
    assert (name, content[:8]) == ("chart.png", b"\x89PNG\r\n\x1a\n")
    assert [sent["text"] for sent in house.telegram.sent if sent["text"]] == ["hot"]
    assert charts.flushed == 1, "what was read a moment ago belongs into the picture"
    [picture] = await in_thread(pictures_of, run)
    kept = await in_thread(picture_of, run, picture)
    assert kept is not None
    assert bytes(kept.content) == content
    assert await in_thread(picture_of, uuid7(), picture) is None


async def test_the_next_attempt_sends_the_same_picture(charts: Charts) -> None:
    await charts.measured(20, 83.1)
    house = charts.house
    house.telegram.fail("sendPhoto", 500, "Internal Server Error")
    async with house.living(charts.illustrator(Studio())):
        _, item = await charts.tell("telegram", "77")
        await house.until(item, "pending")
        await house.rows("UPDATE outbox_item SET next_at = now() WHERE id = %s RETURNING 1", item)
        await house.until(item, "delivered")
    assert charts.flushed == 1, "it was drawn once"


async def test_the_web_admin_shows_the_picture(charts: Charts) -> None:
    await charts.measured(20, 83.1)
    house = charts.house
    async with house.living(charts.illustrator(Studio())):
        _, item = await charts.tell("webchat", None)
        await house.until(item, "delivered")
    [(text, files)] = await house.rows("SELECT text, files FROM bridges_message WHERE NOT inbound")
    assert text == "hot"
    assert [(one["name"], one["media_type"]) for one in files] == [("chart.png", "image/png")]


async def test_a_platform_without_pictures_gets_it_in_words(charts: Charts) -> None:
    await charts.measured(20, 83.1)
    house = charts.house
    async with house.living(charts.illustrator(Studio())):
        _, item = await charts.tell("loopback", None)
        await house.until(item, "delivered")
    assert await house.chat("loopback") == [("loopback", "hot\ntemp: last 83.1, min 20, max 83.1 in 1h")]


async def test_a_message_goes_out_without_readings_and_without_a_picture(charts: Charts) -> None:
    house = charts.house
    async with house.living(charts.illustrator(BROKEN)):
        _, bare = await charts.tell("webchat", None)
        await house.until(bare, "delivered")
        await charts.measured(83.1)
        _, undrawn = await charts.tell("webchat", None)
        await house.until(undrawn, "delivered")
    assert [text for _, text in await house.chat()] == [
        "hot\ntemp: no readings yet",
        "hot\ntemp: last 83.1, min 83.1, max 83.1 in 1h",
    ]


async def test_a_digest_brings_the_chart_of_its_last_message_alone(charts: Charts) -> None:
    await charts.measured(20, 83.1)
    house = charts.house
    runs, items = zip(*await charts.storm("telegram", "77"), strict=True)
    async with house.living(charts.illustrator(Studio())):
        for item in items:
            await house.until(item, "delivered", "told in a digest of 8")
    assert len(house.telegram.files) == 1
    [text] = house.telegram.texts
    assert text.endswith("the last one:\nhot 7")
    pictures = [len(await in_thread(pictures_of, run)) for run in runs]
    assert pictures == [0] * 7 + [1]


async def test_the_next_digest_with_a_chart_is_a_new_message_where_a_photo_stands_by_itself(
    charts: Charts,
) -> None:
    await charts.measured(20, 83.1)
    house = charts.house
    items = [item for _, item in await charts.storm("telegram", "77")]
    async with house.living(charts.illustrator(Studio())) as hub:
        await house.until(items[-1], "delivered")
        receipt = await hub.deliver(next_digest("telegram", "77", items[-1]))
    assert receipt.detail == {"texts": 1}, "so the next one after it waits as where nothing can be edited"
    assert [text.rpartition("\n")[2] for text in house.telegram.texts] == ["hot 7", "hotter"]
    assert len(house.telegram.files) == 2


async def test_a_digest_takes_its_chart_along_where_it_stands_in_the_message(charts: Charts) -> None:
    await charts.measured(20, 83.1)
    house = charts.house
    items = [item for _, item in await charts.storm("webchat", None)]
    said = "SELECT text, files FROM bridges_message WHERE NOT inbound"
    async with house.living(charts.illustrator(Studio())) as hub:
        await house.until(items[-1], "delivered")
        [(_, before)] = await house.rows(said)
        receipt = await hub.deliver(next_digest("webchat", None, items[-1]))
    assert receipt.detail == {"edited": True}
    [(text, after)] = await house.rows(said)
    assert text.startswith("11 messages about overheat/tell since ")
    assert text.endswith("hotter")
    assert [one["name"] for one in before + after] == ["chart.png"] * 2
    assert before[0]["id"] != after[0]["id"]


async def test_what_was_asked_above_a_chart_is_settled_in_its_own_place(charts: Charts) -> None:
    await charts.measured(20, 83.1)
    house = charts.house
    async with house.living(charts.illustrator(Studio())):
        [(_, item)] = await charts.give("telegram", "77", asking(message("hot"), "K7Q2"))
        await house.until(item, "delivered")
        [sent] = house.telegram.sent
        assert sent["reply_markup"]
        async with house.pool.connection() as connection, connection.transaction():
            where = settling.these([item])
            await settling.settle(connection, where, "acknowledged", lambda: "Taken by ann", UNTIL)
        [(answer,)] = await house.rows("SELECT id FROM outbox_item WHERE message ? 'settles'")
        await house.until(answer, "delivered")
    [sent] = house.telegram.sent
    assert (sent["text"], sent["reply_markup"]) == ("hot\nTaken by ann", None)
    assert len(house.telegram.files) == 1
