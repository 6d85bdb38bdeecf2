"""A day without the platform: ten thousand alerts wait, and leave as few messages that no platform bans for."""

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from appliance.lib.clock import ManualClock
from appliance.lib.identity import uuid7
from appliance.outbox.errors import DeliveryDeferred, PlatformAway
from appliance.outbox.ports import DigestRule, Hold, Pace, Parcel, Receipt
from appliance.outbox.sender import Sender

from .conftest import Desk, Pool, Runs

KINDS = [f"task/kind-{number:02}/tell" for number in range(20)]
CHATS = [f"-10{number}" for number in range(5)]
CRITICAL = KINDS[0]

PUT = """
INSERT INTO outbox_item (id, key, platform, conversation, message, run_id, step_id, priority, about, created_at,
    expires_at)
SELECT id, 'k' || n, 'group', chat, jsonb_build_object('text', 'number ' || n, 'n', n),
    CASE WHEN chat = %(with_runs)s THEN id END, 'tell',
    CASE WHEN about = %(critical)s THEN 20 ELSE 0 END, about, at, at + interval '24 hours'
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[], %(chats)s::text[], %(abouts)s::text[], %(ats)s::timestamptz[])
    AS new(id, n, chat, about, at) ORDER BY n
"""


@dataclass
class Group:
    """A platform with Telegram's limits of groups, which bans whoever does not keep them."""

    clock: ManualClock
    rule: DigestRule
    away: bool = True
    arrived: list[Parcel] = field(default_factory=list)
    bans: list[str] = field(default_factory=list)
    calls: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    patience: dict[str, float] = field(default_factory=dict)

    def pace(self, platform: str, conversation: str | None) -> Pace:
        return Pace(per_second=25, interval=3.0, burst=5)

    async def hold_until(self, parcel: Parcel, now: datetime) -> Hold | None:
        return None

    def digests(self, platform: str) -> DigestRule | None:
        return self.rule

    async def deliver(self, parcel: Parcel) -> Receipt:
        if self.away:
            raise PlatformAway("no network")
        now, chat = self.clock.monotonic(), str(parcel.conversation)
        if now < self.patience.get(chat, 0.0):
            self.bans.append(f"{chat} was to be left alone until {self.patience[chat]}, not {now}")
        self.calls[chat].append(now)
        if sum(at > now - 60 for at in self.calls[chat]) > 20:
            self.bans.append(f"more than 20 in a minute to {chat} at {now}")
        every = list(itertools.chain(*self.calls.values()))
        if sum(at > now - 1 for at in every) > 30:
            self.bans.append(f"more than 30 in the second before {now}")
        if len(every) % 13 == 0:
            self.patience[chat] = now + 9
            raise DeliveryDeferred("too many requests", retry_after=9)
        self.arrived.append(parcel)
        replaced = parcel.digest is not None and parcel.digest.replaces is not None
        return Receipt(
            parcel.platform, chat, (f"m{len(every)}",), self.clock.now(), detail={"edited": replaced}
        )


async def put(pool: Pool, since: datetime, until: datetime, first: int, count: int) -> None:
    """``count`` alerts, evenly from ``since`` to ``until``, of each kind to each chat in turn."""
    numbers = range(first, first + count)
    ats = [since + (until - since) * (number - first) / count for number in numbers]
    values = {
        "ids": [uuid7(at) for at in ats],
        "numbers": list(numbers),
        "chats": [CHATS[number % len(CHATS)] for number in numbers],
        "abouts": [KINDS[number // len(CHATS) % len(KINDS)] for number in numbers],
        "ats": ats,
        "critical": CRITICAL,
        "with_runs": CHATS[0],
    }
    async with pool.connection() as connection:
        await connection.execute(PUT, values)


async def outage(desk: Desk, group: Group, alerts: int, hours: int) -> tuple[Sender, Runs]:
    """Every two hours, alerts and an attempt to send; all ``alerts`` within the first day."""
    runs = Runs()
    sender = Sender(desk.pool, group, runs, desk.clock)
    step = timedelta(hours=2)
    for number in range(hours // 2):
        before = desk.clock.now()
        desk.clock.advance(step)
        if number < 12:
            first = alerts * number // 12
            await put(desk.pool, before, before + step, first, alerts * (number + 1) // 12 - first)
        await sender.round()
        await sender.settle()
    return sender, runs


async def drain(desk: Desk, group: Group, sender: Sender) -> None:
    """The network is back: until nothing is sent for half a minute."""
    group.away, last = False, desk.clock.monotonic()
    sender.network_is_back(["group"])
    while desk.clock.monotonic() - last < 30:
        desk.clock.advance(timedelta(seconds=1.5))
        if await sender.round():
            last = desk.clock.monotonic()
        await sender.settle()


async def ends(desk: Desk) -> dict[str, str]:
    """What became of each item, as its row says and, once, its events."""
    async with desk.pool.connection() as connection:
        cursor = await connection.execute("SELECT id::text, state FROM outbox_item ORDER BY 1")
        rows = await cursor.fetchall()
        cursor = await connection.execute(
            "SELECT data->>'item_id', data->>'state' FROM events_event"
            " WHERE type = 'delivery.changed' AND data->>'state' <> 'pending' ORDER BY 1"
        )
        assert await cursor.fetchall() == rows
    return dict(rows)


async def test_a_day_of_outage_with_ten_thousand_alerts_drains_in_order_with_digests_and_without_a_ban(
    desk: Desk,
) -> None:
    group, alerts = Group(desk.clock, DigestRule()), 10_000
    sender, runs = await outage(desk, group, alerts, 24)
    await drain(desk, group, sender)
    assert group.bans == []
    assert len(group.arrived) <= len(KINDS) * len(CHATS) * 2
    states = await ends(desk)
    assert len(states) == alerts
    assert set(states.values()) <= {"delivered", "expired"}
    told = sum(parcel.digest.count if parcel.digest else 1 for parcel in group.arrived)
    gone = sum(parcel.digest.expired for parcel in group.arrived if parcel.digest)
    assert (told, gone) == (
        sum(state == "delivered" for state in states.values()),
        sum(state == "expired" for state in states.values()),
    )
    heard = [run for _, run, _, _ in runs.heard]
    assert len(heard) == len(set(heard)) == alerts / len(CHATS), "each has one verdict"
    for chat in CHATS:
        mine = [parcel for parcel in group.arrived if parcel.conversation == chat]
        assert mine[0].about == CRITICAL
        assert [parcel.about for parcel in mine] == KINDS, (
            "the most urgent, then as their first ones were written"
        )


async def test_what_expired_in_a_longer_outage_is_counted_in_the_digests(desk: Desk) -> None:
    group, alerts = Group(desk.clock, DigestRule()), 1000
    sender, runs = await outage(desk, group, alerts, 36)
    await drain(desk, group, sender)
    assert group.bans == []
    states = [*(await ends(desk)).values()]
    gone = sum(parcel.digest.expired for parcel in group.arrived if parcel.digest)
    assert 490 < gone < 510
    assert gone == states.count("expired")
    assert states.count("delivered") == alerts - gone
    assert len(runs.heard) == alerts / len(CHATS)
