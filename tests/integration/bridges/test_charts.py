"""A chart goes with its message: as a photo where pictures go, in words elsewhere, the same at each attempt."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from appliance.accounts.principal import CONSOLE
from appliance.bridges import services
from appliance.bridges.pictures import picture_of, pictures_of
from appliance.devices.charts.domain import ChartSpec
from appliance.devices.charts.illustrating import ChartIllustrator
from appliance.devices.charts.studio import Studio
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from tests.standins.telegram import TOKEN

from .conftest import House, in_thread

UNTIL = datetime.now(UTC).replace(microsecond=0)
TOPIC = "plant/a/temp"
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
        run = uuid7()
        spec = ChartSpec((TOPIC,), "", UNTIL - timedelta(hours=1), UNTIL, 80.0)
        message: JsonObject = {"text": "hot", "chart": spec.to_json()}
        item = OutboxItem(f"{run}/tell", platform, message, conversation, run_id=run, step_id="tell")
        async with self.house.pool.connection() as connection, connection.transaction():
            return run, await enqueue(connection, item)


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
