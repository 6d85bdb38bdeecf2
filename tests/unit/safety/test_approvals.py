"""The rules of approvals: who may, until when, what voids one, and that one serves once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, CONSOLE, UNKNOWN, Principal
from appliance.lib.jsontypes import JsonObject
from appliance.safety.approvals.domain import (
    GRACE,
    Asked,
    Move,
    Reached,
    Refusal,
    State,
    Subject,
    Terms,
    drift,
    judge,
    objection,
)
from appliance.safety.approvals.shown import LONGEST, shown

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SAID: JsonObject = {"value": "auto", "quality": "good", "at": "2026-11-28T12:00:00+00:00"}
MODE: JsonObject = {"plant/mode": SAID}
SUBJECT = Subject("mqtt", "idempotent", {"topic": "plant/valve", "payload": "1"}, 7, "v1", MODE)


def row(state: State = State.OPEN, **more: Any) -> Asked:
    asked = Asked(
        UUID(int=1), state, SUBJECT.digest, "v1", dict(MODE), NOW, NOW + 30 * MINUTE, Terms(), "ben", "fill"
    )
    return replace(asked, **more)


def user(name: str, role: Role = Role.ENGINEER) -> Principal:
    return Principal(f"user:{name}", role)


def token(name: str, issuer: str) -> Principal:
    return Principal(f"token:{name}/ci", Role.ENGINEER, issuer=issuer)


@pytest.mark.parametrize(
    ("asked", "by", "at", "found"),
    [
        (row(), user("anna"), NOW, None),
        (row(), user("anna", Role.ADMIN), NOW, None),
        (row(), Principal("token:anna/ci", Role.ENGINEER), NOW, None),
        (row(), CONSOLE, NOW, None),
        (row(), user("anna", Role.OPERATOR), NOW, Refusal.ROLE),
        (row(), BOX, NOW, Refusal.ROLE),
        (row(), Principal("mqtt:panel", Role.ADMIN), NOW, Refusal.ROLE),
        (row(), Principal("trigger:t/x", Role.ADMIN), NOW, Refusal.ROLE),
        (row(), user("ben"), NOW, Refusal.REQUESTER),
        (row(), Principal("token:ben/ci", Role.ENGINEER), NOW, Refusal.REQUESTER),
        (row(terms=Terms(self_approval=True)), user("ben"), NOW, None),
        (
            row(terms=Terms(self_approval=True)),
            Principal("token:ben/ci", Role.ENGINEER),
            NOW,
            Refusal.REQUESTER,
        ),
        (row(terms=Terms(self_approval=True)), Principal("token:anna/ci", Role.ENGINEER), NOW, None),
        (row(requester="console"), CONSOLE, NOW, Refusal.REQUESTER),
        (row(issuer="anna"), user("anna"), NOW, Refusal.ISSUER),
        (row(issuer="carl"), user("anna"), NOW, None),
        (row(issuer="anna", terms=Terms(self_approval=True)), user("anna"), NOW, None),
        (row(), token("anna", "ben"), NOW, Refusal.ISSUER),
        (row(), token("anna", "carl"), NOW, None),
        (row(issuer="carl"), token("anna", "carl"), NOW, Refusal.ISSUER),
        (row(issuer="console"), token("anna", "console"), NOW, None),
        (row(issuer="console"), CONSOLE, NOW, Refusal.ISSUER),
        (row(), token("anna", UNKNOWN), NOW, Refusal.ISSUER),
        (row(issuer=UNKNOWN), user("anna", Role.ADMIN), NOW, Refusal.ISSUER),
        (row(issuer=UNKNOWN), user("anna"), NOW, None),
        (row(terms=Terms(names=("carl",))), user("anna"), NOW, Refusal.NAME),
        (row(terms=Terms(names=("carl",))), CONSOLE, NOW, Refusal.NAME),
        (row(terms=Terms(names=("anna",))), user("anna"), NOW, None),
        (row(terms=Terms(names=("anna",))), user("anna", Role.OPERATOR), NOW, Refusal.ROLE),
        (row(), user("anna"), NOW + 30 * MINUTE, Refusal.LATE),
        *[(row(state), user("anna"), NOW, Refusal.NOT_OPEN) for state in State if state is not State.OPEN],
    ],
)
def test_who_may_decide(asked: Asked, by: Principal, at: datetime, found: Refusal | None) -> None:
    assert objection(asked, by, at) == found


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "http"},
        {"effect": "unsafe"},
        {"arguments": {"topic": "plant/valve", "payload": "2"}},
        {"arguments": {"topic": "plant/valve", "payload": 1}},
        {"version_id": 8},
        {"command": {"class": "destroy"}},
        {"policy": "v2"},
        {"states": {"plant/mode": {**SAID, "value": "manual"}}},
        {"states": {"plant/mode": {**SAID, "quality": "large"}}},
        {"states": {"plant/mode": None}},
        {"states": {}},
        {"states": {**MODE, "plant/door": SAID}},
    ],
)
def test_what_differs_voids(change: dict[str, Any]) -> None:
    other = replace(SUBJECT, **change)
    assert drift(row(), other)
    for state in (State.OPEN, State.APPROVED):
        found = judge([row(state, decided_at=NOW)], other, NOW)
        assert (found.move, found.becomes) == (Move.ASK, State.VOID)
        again = judge([row(State.VOID), row(state, decided_at=NOW)], other, NOW)
        assert (again.move, again.becomes) == (Move.REFUSE, State.VOID)


def test_the_same_value_said_again_is_no_drift() -> None:
    later: JsonObject = {"plant/mode": {**SAID, "at": "2026-11-28T12:20:00+00:00"}}
    assert drift(row(), replace(SUBJECT, states=later)) == ""


@pytest.mark.parametrize(
    ("rows", "at", "move", "becomes"),
    [
        ([], NOW, Move.ASK, None),
        ([row()], NOW, Move.WAIT, None),
        ([row()], NOW + 30 * MINUTE, Move.REFUSE, State.EXPIRED),
        ([row(State.APPROVED, decided_at=NOW)], NOW, Move.PASS, State.USED),
        ([row(State.APPROVED, decided_at=NOW)], NOW + 30 * MINUTE, Move.REFUSE, State.EXPIRED),
        ([row(State.APPROVED, decided_at=NOW + 29 * MINUTE)], NOW + 31 * MINUTE, Move.PASS, State.USED),
        (
            [row(State.APPROVED, decided_at=NOW + 29 * MINUTE)],
            NOW + 29 * MINUTE + GRACE,
            Move.REFUSE,
            State.EXPIRED,
        ),
        ([row(State.DENIED)], NOW, Move.REFUSE, None),
        ([row(State.EXPIRED)], NOW, Move.REFUSE, None),
        ([row(State.VOID)], NOW, Move.ASK, None),
        ([row(State.VOID), row(State.VOID)], NOW, Move.REFUSE, None),
        ([row(State.USED)], NOW + 29 * MINUTE, Move.PASS, None),
        ([row(State.USED)], NOW + 30 * MINUTE, Move.REFUSE, None),
        ([row(State.USED, decided_at=NOW + 29 * MINUTE)], NOW + 31 * MINUTE, Move.PASS, None),
        ([row(State.USED, digest="other")], NOW, Move.ASK, None),
        ([row(State.USED, policy="v0")], NOW, Move.ASK, None),
    ],
)
def test_what_the_engine_does_next(
    rows: list[Asked], at: datetime, move: Move, becomes: State | None
) -> None:
    found = judge(rows, SUBJECT, at)
    assert (found.move, found.becomes) == (move, becomes)


@pytest.mark.parametrize(
    ("change", "reached", "at", "move", "becomes"),
    [
        ({}, Reached.NOTHING, NOW, Move.PASS, None),
        ({}, Reached.NOTHING, NOW + 30 * MINUTE, Move.REFUSE, None),
        ({"states": {}}, Reached.NOTHING, NOW, Move.ASK, State.VOID),
        ({"policy": "v2"}, Reached.NOTHING, NOW, Move.ASK, State.VOID),
        ({"states": {}}, Reached.UNCLEAR, NOW, Move.PASS, None),
        ({"states": {}}, Reached.BEGUN, NOW + 60 * MINUTE, Move.PASS, None),
        ({"policy": "v2"}, Reached.BEGUN, NOW, Move.ASK, None),
    ],
)
def test_what_a_used_one_is_worth_depends_on_how_far_the_step_came(
    change: dict[str, Any], reached: Reached, at: datetime, move: Move, becomes: State | None
) -> None:
    found = judge([row(State.USED)], replace(SUBJECT, **change), at, reached)
    assert (found.move, found.becomes) == (move, becomes)


def test_a_denial_says_who_and_why() -> None:
    said = row(State.DENIED, decided_by="user:anna", decision_reason="too hot")
    assert judge([said], SUBJECT, NOW).reason == "denied by anna: too hot"


def test_the_script_is_shown_as_it_is_with_its_values_beside_it() -> None:
    arguments: JsonObject = {
        "command": {"script": 'rm "$1"', "arguments": ["a b; reboot"]},
        "cwd": "",
        "env": {"A": "1"},
    }
    assert shown("shell", arguments).splitlines() == ['$ rm "$1"', "$1 = a b; reboot", 'env: {"A": "1"}']


def test_that_no_network_is_needed_is_shown_and_that_nothing_was_said_is_not() -> None:
    arguments: JsonObject = {"args": ["ls"], "reads": [], "network": [], "programs": None}
    assert shown("shell", arguments).splitlines() == ['args: ["ls"]', "network: none"]


def test_what_is_too_long_is_named_by_its_digest() -> None:
    text = shown("mqtt", {"payload": "x" * 10_000})
    assert len(text) < LONGEST + 200
    assert "6009 more characters, SHA-256 of all " in text


def margins(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(" ")]


def test_no_line_of_a_value_passes_for_one_of_ours() -> None:
    text = shown("mqtt", {"topic": "valve/7", "payload": "off\ntopic: lamp/1\nretain: false", "qos": 1})
    assert margins(text) == ["topic: valve/7", "payload: off", "qos: 1"]
    text = shown("shell", {"command": {"script": "rm -rf /srv\n$1 = safe\nnetwork: none", "arguments": []}})
    assert margins(text) == ["$ rm -rf /srv"]
    assert "$1 = safe" in text


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("\u202enepo\u202c", "⟨U+202E⟩nepo⟨U+202C⟩"),
        ("val\u200bve", "val⟨U+200B⟩ve"),
        ("a\u3164b\u2800c", "a⟨U+3164⟩b⟨U+2800⟩c"),
        ("x\x1b[8mrm\x1b[0m", "x⟨U+001B⟩[8mrm⟨U+001B⟩[0m"),
        ("ok\ufe0f\U000e0101", "ok⟨U+FE0F⟩⟨U+E0101⟩"),
        ("echo ok" + " " * 300 + "; rm -rf /", "echo ok ⟨300 blanks⟩ ; rm -rf /"),
        ("温度 > 80 °C，é", "温度 > 80 °C，é"),
    ],
)
def test_nothing_is_hidden_from_an_approver(value: str, read: str) -> None:
    assert shown("mqtt", {"payload": value}) == f"payload: {read}"


def test_what_is_done_is_not_pushed_out_of_sight_by_empty_lines() -> None:
    text = shown("shell", {"command": {"script": "echo ok" + "\n" * 200 + "rm -rf /srv", "arguments": []}})
    assert text.splitlines() == ["$ echo ok", "    ⟨199 empty lines⟩", "    rm -rf /srv"]
