"""Mutes and quiet hours on the database: who may, what they hold back, and how each ends."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db.models import Max
from psycopg.types.json import Jsonb

from appliance.accounts.domain import Role
from appliance.accounts.grants import Grant
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, NotAllowed, Principal
from appliance.audit.models import AuditRecord
from appliance.bridges import mutes
from appliance.bridges.commands import parse_command
from appliance.bridges.holds import hold_of
from appliance.bridges.loopback.bridge import BRIDGE
from appliance.bridges.models import Platform
from appliance.bridges.ports import ChatSender
from appliance.bridges.services import platforms, remove_platform, save_platform
from appliance.lib.identity import uuid7
from appliance.outbox.models import OutboxRow
from appliance.outbox.ports import Hold, OutboxItem, Parcel
from appliance.outbox.services import enqueue_now
from appliance.processes.chat import ChatCommands
from appliance.tasks.services import apply_text
from tests.chat_desk import context

from .conftest import House, in_thread

NOW = datetime.now(UTC)
SEEN = {"seq": 0}
HOUR = timedelta(hours=1)
ABOUT = "task/fill/tell"
TASK = "name: fill\ntriggers: [manual]\nactions: [{id: a, type: set, value: 1}]\n"
pytestmark = pytest.mark.usefixtures("ann")


def put(state: str = "held", *, about: str = ABOUT, conversation: str | None = "7", **row: object) -> UUID:
    item = OutboxItem("k", "phone", {"text": "t"}, conversation, run_id=uuid7(), about=about)
    OutboxRow.objects.filter(pk=enqueue_now(item)).update(state=state, next_at=NOW + HOUR, **row)
    return item.id


def states(*items: UUID) -> list[str]:
    return [OutboxRow.objects.get(pk=item).state for item in items]


def say(person: User, text: str, *, at: datetime = NOW) -> str:
    command = parse_command(text, key="k", received_at=at)
    return ChatCommands()._answer(command, ChatSender(person.pk, person.username, "phone", "7", "7"))


@pytest.fixture(autouse=True)
def _since(ann: User) -> None:
    """What is on record stays there from test to test."""
    SEEN["seq"] = AuditRecord.objects.aggregate(last=Max("seq"))["last"] or 0


def records(kind: str) -> list[tuple[str, str]]:
    rows = AuditRecord.objects.filter(kind=kind, seq__gt=SEEN["seq"]).order_by("seq")
    return [(row.principal, row.subject) for row in rows]


def set_one(by: User, about: str = "task/fill", until: datetime = NOW + HOUR) -> None:
    mutes.set_mute("phone", "7", about, until, by.principal, NOW)


async def looked(house: House, parcel: Parcel, now: datetime = NOW) -> Hold | None:
    made = context("loopback", pool=house.pool)
    assert BRIDGE.build is not None
    async with house.pool.connection() as connection:
        return await hold_of(connection, parcel, BRIDGE.build(made), now)


def parcel(about: str = ABOUT, conversation: str | None = "7", priority: int = 0) -> Parcel:
    return Parcel(uuid7(), "k", "phone", conversation, {}, 1, 0, False, None, "", about, priority)


async def test_a_mute_holds_its_kind_in_its_conversation_and_never_what_is_critical(
    house: House, ann: User
) -> None:
    await in_thread(set_one, ann)
    hold = await looked(house, parcel(priority=10))
    assert hold is not None
    assert (hold.until, hold.about, hold.reason[:17]) == (NOW + HOUR, "task/fill", "muted by ann unti")
    passing = [
        parcel(priority=20),
        parcel("task/filler/tell"),
        parcel("alert/fill"),
        parcel(conversation="8"),
    ]
    assert [await looked(house, one) for one in passing] == [None] * 4
    assert await looked(house, parcel(), NOW + HOUR) is None


async def test_a_mute_of_another_clock_holds_nothing(house: House, ann: User) -> None:
    """Set back by a day it would last a day and an hour."""
    await in_thread(set_one, ann)
    assert await looked(house, parcel(), NOW - timedelta(days=1)) is None


async def test_a_mute_ends_with_the_role_of_who_made_it(house: House, ann: User) -> None:
    await in_thread(set_one, ann)
    held = await in_thread(put)
    await in_thread(lambda: User.objects.filter(pk=ann.pk).update(role="viewer"))
    assert await looked(house, parcel()) is None
    async with house.pool.connection() as connection:
        assert await mutes.end_over(connection, NOW) == 1
        assert await mutes.end_over(connection, NOW) == 0
    assert await in_thread(states, held) == ["pending"]
    assert await in_thread(records, "mute.ended") == [("box", "chat/phone/7")]


async def test_a_grant_for_the_task_is_enough(house: House, ann: User) -> None:
    await in_thread(set_one, ann)
    grant = Grant(Role.OPERATOR, "fill")
    row = {**grant.to_json(), "like": grant.like}
    await in_thread(lambda: User.objects.filter(pk=ann.pk).update(role="viewer", grants=[row]))
    assert await looked(house, parcel()) is not None


async def test_one_that_is_in_force_is_not_ended(house: House, ann: User) -> None:
    await in_thread(set_one, ann)
    async with house.pool.connection() as connection:
        assert await mutes.end_over(connection, NOW) == 0
        assert await mutes.end_over(connection, NOW + HOUR) == 1


async def test_quiet_hours_count_at_once_and_the_longer_hold_binds(house: House, ann: User) -> None:
    quiet = {"from": f"{NOW:%H:%M}", "to": f"{NOW + timedelta(hours=3):%H:%M}"}
    async with house.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO bridges_platform (name, kind, config, digest, enabled, default_conversation,"
            " webhook_path, revision, cursor, health, updated_at)"
            " VALUES ('phone', 'loopback', %s, '', true, '7', '', 1, '', '{}', now())",
            (Jsonb({"name": "phone", "quiet": quiet}),),
        )
    await in_thread(set_one, ann)
    hold = await looked(house, parcel())
    assert hold is not None
    assert hold.reason.startswith("quiet hours until")
    urgent = await looked(house, parcel(priority=10))
    assert urgent is not None
    assert urgent.reason.startswith("muted by ann")
    assert await looked(house, parcel("alert/x", None, 10)) is None


@pytest.fixture
def phone(ann: User) -> User:
    Platform.objects.create(name="phone", kind="loopback", config={"name": "phone", "kind": "loopback"})
    apply_text(TASK, "t.yaml", BOX, NOW)
    return ann


def test_muting_without_a_name_is_about_the_last_message_told_here(phone: User) -> None:
    assert "Mute what?" in say(phone, "mute")
    put("delivered", about="task/fill/earlier")
    put("delivered", conversation=None, receipt={"conversation": "7"})
    put("delivered", about="", conversation="7")
    put("delivered", about="task/other/tell", conversation="8")
    until = f"{NOW + HOUR:%m-%d %H:%M} UTC"
    assert say(phone, "mute").startswith(f"Muted here until {until}: {ABOUT}.")
    assert [(one.about, one.until) for one in mutes.mutes(NOW, "phone", "7")] == [(ABOUT, NOW + HOUR)]


def test_what_is_muted_and_for_how_long(phone: User) -> None:
    week = timedelta(days=7)
    for text, about, length in (
        ("mute fill", "task/fill", HOUR),
        ("mute fill 30m", "task/fill", HOUR / 2),
        ("mute fill for 2 h", "task/fill", 2 * HOUR),
        ("mute task/fill/tell 7d", ABOUT, week),
        ("mute fill/tell", ABOUT, HOUR),
        ("静音 fill 2小时", "task/fill", 2 * HOUR),
        ("静音fill", "task/fill", HOUR),
        ("mute locked-out", "alert/locked-out", HOUR),
    ):
        say(phone, text)
        assert [(one.about, one.until) for one in mutes.mutes(NOW)] == [(about, NOW + length)], text
        say(phone, "unmute")


def test_what_cannot_be_done_is_said(phone: User) -> None:
    for text, says in (
        ("mute fil", "Did you mean fill?"),
        ("mute xyzzy", "There is no task and no alert rule xyzzy."),
        ("mute fill 8d", "between one minute and seven days"),
        ("mute fill 0s", "between one minute and seven days"),
        ("unmute", "Nothing is muted here."),
        ("mutes", "Nothing is muted here."),
    ):
        assert says in say(phone, text)
    assert mutes.mutes(NOW) == []


def test_unmuting_says_what_was_held_and_lets_it_go(phone: User) -> None:
    say(phone, "mute fill")
    say(phone, "mute locked-out")
    held, other = put(), put(about="task/other/tell")
    assert f"task/fill until {NOW + HOUR:%m-%d %H:%M} UTC, by ann. 1 message was held." in say(phone, "mutes")
    assert say(phone, "unmute fill") == "Not muted any more: task/fill. 1 message was held."
    assert states(held, other) == ["pending", "held"]
    assert "Muted here: alert/locked-out" in say(phone, "unmute fill")
    assert say(phone, "取消静音").startswith("不再静音")
    assert mutes.mutes(NOW) == []
    assert records("mute.set") == [("user:ann", "chat/phone/7")] * 2
    assert records("mute.ended") == [("user:ann", "chat/phone/7")] * 2


def test_the_same_command_twice_is_one_mute_and_one_record(phone: User) -> None:
    say(phone, "mute fill")
    say(phone, "mute fill")
    assert len(records("mute.set")) == len(mutes.mutes(NOW)) == 1


def test_a_mute_that_is_made_shorter_looks_at_what_it_holds(phone: User) -> None:
    say(phone, "mute fill 2h")
    held = put()
    say(phone, "mute fill 3h")
    assert states(held) == ["held"]
    say(phone, "mute fill 1m")
    assert states(held) == ["pending"]


def test_who_may_not_run_tasks_mutes_and_unmutes_nothing(phone: User) -> None:
    vic = User.objects.create_user("vic", password="x", role="viewer")
    assert "not enough" in say(vic, "mute fill")
    say(phone, "mute fill")
    assert "not enough" in say(vic, "unmute")
    assert "task/fill" in say(vic, "mutes")
    with pytest.raises(NotAllowed):
        mutes.end_mute(mutes.mutes(NOW)[0].id, vic.principal)
    assert len(mutes.mutes(NOW)) == 1


def test_changed_quiet_hours_look_at_what_is_held_and_a_removed_platform_has_no_mutes(phone: User) -> None:
    boss = Principal("user:boss", Role.ADMIN)
    held = put()
    night = {"from": "00:00", "to": "23:59", "timezone": "Asia/Shanghai"}
    save_platform({"name": "phone", "kind": "loopback", "quiet": night}, boss, NOW)
    assert states(held) == ["pending"]
    assert Platform.objects.get(name="phone").config["quiet"] == night
    put()
    [view] = [one for one in platforms() if one.name == "phone"]
    midday = datetime(2026, 11, 28, 4, tzinfo=UTC)
    assert (view.waiting, view.held, view.quiet_until(midday)) == (
        1,
        1,
        datetime(2026, 11, 28, 15, 59, tzinfo=UTC),
    )
    say(phone, "mute fill")
    remove_platform("phone", boss)
    assert mutes.mutes(NOW) == []


def test_what_is_told_to_who_writes_in_the_web_admin_comes_in_its_feed(phone: User) -> None:
    mutes.set_mute("webchat", "user:ann", "task/fill", NOW + HOUR, phone.principal, NOW)
    [one] = mutes.mutes(NOW, "webchat", "user:ann")
    assert (one.conversation, one.who) == ("feed", "ann")
