"""Services ask about the very task: whoever may operate line 3 does so, and nothing else, by whatever door."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import AccountRefused, GrantRefused
from appliance.accounts.granting import grant, withdraw
from appliance.accounts.grants import MOST, Grant
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX, NotAllowed
from appliance.accounts.services import create_user, get_user, set_active
from appliance.accounts.tokens import authenticate, issue_api_token
from appliance.audit.models import AuditRecord
from appliance.bus.brokers.by_hand import publish_by_hand
from appliance.runs.services import cancel, start_again, start_task
from appliance.tasks.services import apply_text, set_enabled

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LINE3 = Grant(Role.OPERATOR, "line3_*")
TASK = "- name: {}\n  trigger: manual\n  actions: [{{type: set, value: 1}}]\n"


@pytest.fixture
def vic() -> User:
    for name in ("line3_fill", "line30fill", "line1_fill"):
        apply_text(TASK.format(name), f"{name}.yaml", BOX, NOW)
    create_user("vic", "hammer-and-anvil-7", Role.VIEWER, BOX)
    grant("vic", LINE3, BOX, NOW)
    return get_user("vic")


def test_a_granted_operator_starts_and_ends_runs_of_those_tasks_only(vic: User) -> None:
    mine = start_task("line3_fill", vic.principal, NOW)
    cancel(mine, vic.principal)
    start_again(mine, vic.principal, NOW)
    others = start_task("line1_fill", BOX, NOW)
    for refused in (
        lambda: start_task("line1_fill", vic.principal, NOW),
        lambda: start_task("line30fill", vic.principal, NOW),  # an underscore is no placeholder
        lambda: cancel(others, vic.principal),
        lambda: set_enabled("line3_fill", False, vic.principal, NOW),
        lambda: publish_by_hand("plant/line3/x", b"1", vic.principal),
    ):
        with pytest.raises(NotAllowed):
            refused()


def test_an_engineer_of_line_3_edits_those_tasks_and_brings_no_other(vic: User) -> None:
    grant("vic", Grant(Role.ENGINEER, "line3_*"), BOX, NOW)
    by = get_user("vic").principal
    changed = TASK.format("line3_fill").replace("value: 1", "value: 2")
    assert apply_text(changed, "line3.yaml", by, NOW)[0].version == 2
    with pytest.raises(NotAllowed):
        apply_text(changed + TASK.format("line1_new"), "both.yaml", by, NOW)


def test_the_database_reads_a_role_on_a_task_as_the_services_do(vic: User) -> None:
    grant("vic", Grant(Role.ENGINEER, "line?_*b*"), BOX, NOW)
    vic = get_user("vic")
    for task in ("line3_fill", "line30fill", "line1_fill", "line1_club", "line12_b", "", "LINE3_fill"):
        assert role_on("vic", task) == vic.principal.role_on(task=task).value
    set_active("vic", False, BOX)
    assert role_on("vic", "line3_fill") is None
    assert role_on("nobody", "line3_fill") is None


def role_on(name: str, task: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT accounts_role_on(%s, %s)", [name, task])
        row = cursor.fetchone()
    assert row is not None
    return row[0] if row[0] is None else str(row[0])


def test_a_withdrawn_grant_ends_at_once_and_both_are_on_record(vic: User) -> None:
    assert not grant("vic", LINE3, BOX, NOW)  # once is enough
    assert withdraw("vic", LINE3, BOX)
    assert not withdraw("vic", LINE3, BOX)
    with pytest.raises(NotAllowed):
        start_task("line3_fill", get_user("vic").principal, NOW)
    records = AuditRecord.objects.filter(subject="user:vic").order_by("seq")
    said = [(row.kind, json.loads(row.body)["detail"]) for row in records if row.kind != "account.created"]
    detail = {"role": "operator", "tasks": "line3_*", "topics": "", "devices": "", "secrets": ""}
    assert said == [("account.granted", detail), ("account.withdrawn", detail)]


def test_nobody_but_an_administrator_grants_and_nobody_without_end(vic: User) -> None:
    with pytest.raises(NotAllowed):
        grant("vic", Grant(Role.ENGINEER, "*"), vic.principal, NOW)
    for number in range(MOST - 1):
        grant("vic", Grant(Role.OPERATOR, f"line{number}"), BOX, NOW)
    with pytest.raises(GrantRefused, match="20 grants already"):
        grant("vic", Grant(Role.OPERATOR, "one-more"), BOX, NOW)


def test_a_token_of_a_granted_person_reaches_what_they_reach_within_its_scopes(vic: User) -> None:
    text = issue_api_token(vic, "panel", [Ability.RUN_TASKS], BOX, NOW)
    token = authenticate(text, NOW)
    assert token is not None
    start_task("line3_fill", token.principal, NOW)
    with pytest.raises(NotAllowed):
        start_task("line1_fill", token.principal, NOW)
    with pytest.raises(NotAllowed, match="has no right to cancel runs"):
        token.principal.require(Ability.CANCEL_RUNS, task="line3_fill")


@pytest.mark.parametrize(
    ("case", "spoil"),
    [
        ("expired", lambda: None),
        ("revoked", lambda: _revoke()),
        ("person locked out", lambda: set_active("vic", False, BOX)),
    ],
)
def test_a_token_after_its_end_is_refused_and_on_record_once_a_minute(
    vic: User, case: str, spoil: Callable[[], object]
) -> None:
    text = issue_api_token(vic, "panel", [Ability.VIEW], BOX, NOW, expires_at=NOW + timedelta(hours=1))
    assert authenticate(text, NOW) is not None
    spoil()
    late = NOW + timedelta(hours=2 if case == "expired" else 0)
    for seconds in (0, 1, 30, 61):
        assert authenticate(text, late + timedelta(seconds=seconds)) is None
    rows = AuditRecord.objects.filter(kind="token.refused")
    said = [(row.principal, json.loads(row.body)["detail"]) for row in rows]
    assert said == [("token:vic/panel", {"case": case})] * 2


def _revoke() -> None:
    ApiToken.objects.update(revoked_at=NOW)


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.VIEWER])
def test_who_writes_a_task_gives_its_runs_no_more_than_they_may_do(vic: User, role: Role) -> None:
    """Whether an engineer everywhere, or a viewer who is one on that line."""
    if role is Role.VIEWER:
        grant("vic", Grant(Role.ENGINEER, "line3_*"), BOX, NOW)
        by = get_user("vic").principal
    else:
        by = create_user("emil", "quiet-lathe-4711", role, BOX).principal
    text = TASK.format("line3_fill") + "  principal: ROLE\n"
    with pytest.raises(NotAllowed, match="engineer on line3_fill"):
        apply_text(text.replace("ROLE", "admin"), "line3.yaml", by, NOW)
    assert apply_text(text.replace("ROLE", "engineer"), "line3.yaml", by, NOW)[0].version == 2
    apply_text(text.replace("ROLE", "admin"), "line3.yaml", BOX, NOW)
    assert apply_text(text.replace("ROLE", "admin"), "line3.yaml", by, NOW)[0].version == 3, (
        "nothing new is in it"
    )
    with pytest.raises(NotAllowed):
        apply_text(text.replace("ROLE", "admin").replace("value: 1", "value: 9"), "line3.yaml", by, NOW)


def test_nobody_makes_a_token_that_approves_in_the_name_of_another() -> None:
    alice = create_user("alice", "hammer-and-anvil-7", Role.ADMIN, BOX)
    bob = create_user("bob", "quiet-lathe-4711", Role.ADMIN, BOX)
    scopes = [Ability.VIEW, Ability.APPROVE]
    with pytest.raises(AccountRefused, match="by bob alone"):
        issue_api_token(bob, "his", scopes, alice.principal, NOW)
    assert not ApiToken.objects.exists()
    issue_api_token(alice, "mine", scopes, alice.principal, NOW)
    issue_api_token(bob, "looks", [Ability.VIEW], alice.principal, NOW)
