"""The newest signed head of the audit record leaves the box, once a day."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async

from appliance.audit.heads import SignedHead, public_key_file, signed_by
from appliance.audit.services import append_here, sign_head
from appliance.lib.clock import ManualClock
from appliance.lib.config import get_config
from appliance.processes.head_out import HeadOut
from tests.desk import Inbox
from tests.integration.brokers.house import House, house
from tests.integration.brokers.test_events_out import Away
from tests.integration.devices.conftest import box
from tests.wait import wait_for_async

__all__ = ["box", "house"]


@pytest.fixture
async def signed(house: House) -> Path:
    await sync_to_async(append_here)("test.noted", "box", "head", {})
    await sync_to_async(sign_head)(datetime.now(UTC))
    return get_config().home.path / "audit" / "heads.jsonl"


async def test_the_newest_head_is_retained_and_is_the_line_of_the_file(house: House, signed: Path) -> None:
    clock, topic = ManualClock(), f"millwright/{house.id}/audit/head"
    out = HeadOut(house.out, house.id, clock)
    await out.tick()
    inbox = Inbox()
    await house.desk.client(
        "elsewhere", inbox=inbox, filters={topic}
    )  # it comes later, and sees it all the same
    await wait_for_async(lambda: inbox.deliveries)
    message = inbox.deliveries[0].message
    assert message.retain
    assert message.payload == signed.read_bytes().splitlines()[-1]
    head = SignedHead.of_line(message.payload)
    key = bytes.fromhex(public_key_file(get_config().home.path).read_text().split()[-1])
    assert signed_by(key, head.body, head.signature)
    await out.tick()
    clock.advance(timedelta(hours=23))
    await out.tick()
    assert len(inbox.deliveries) == 1
    clock.advance(timedelta(hours=1))
    await out.tick()
    await wait_for_async(lambda: len(inbox.deliveries) == 2)


async def test_it_goes_out_as_soon_as_the_broker_is_back(house: House, signed: Path) -> None:
    bus = Away()
    out = HeadOut(bus, "b", ManualClock())
    await out.tick()
    assert bus.sent == []
    bus.away = False
    await out.tick()
    await out.tick()
    assert len(bus.sent) == 1
