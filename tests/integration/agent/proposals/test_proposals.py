"""Proposed tasks: never more than the run that proposed them, and nothing without a person."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Role
from appliance.accounts.grants import Grant
from appliance.accounts.principal import BOX, CONSOLE, NotAllowed, Principal
from appliance.agent.errors import ProposalMoved, ProposalRefused, ProposalUnknown
from appliance.agent.models import AgentProposal
from appliance.agent.proposals import services
from appliance.agent.proposals.keeping import WAITS, expire, tidy
from appliance.agent.proposals.services import Wanted, propose, reject, take
from appliance.audit.models import AuditRecord
from appliance.outbox.models import OutboxRow
from appliance.safety.secrets import set_secret
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text, definition_of, find

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OPERATOR = Principal("user:olga", Role.OPERATOR)
ENGINEER = Principal("user:eva", Role.ENGINEER)
GREET = "- name: greet\n  trigger: manual\n  actions: [{type: set, value: hello}]\n"
BETTER = (
    "- name: greet\n  trigger: manual\n  principal: operator\n  actions: [{type: set, value: good day}]\n"
)

pytestmark = pytest.mark.django_db


def wanted(text: str = GREET, why: str = "it is kinder") -> Wanted:
    return Wanted(uuid4(), text, why, RUN, "call-1-1", "improve")


RUN = uuid4()


def proposed(text: str = GREET, by: Principal = OPERATOR) -> AgentProposal:
    return propose(wanted(text), by, NOW)


def kinds() -> list[str]:
    return list(AuditRecord.objects.order_by("seq").values_list("kind", flat=True))


def test_a_proposal_changes_nothing_and_is_told_and_put_on_record() -> None:
    row = proposed()
    assert not Task.objects.exists()
    assert (row.state, row.base, row.task) == ("open", 0, "greet")
    assert "proposal.made" in kinds()
    (message,) = OutboxRow.objects.filter(platform="webchat")
    assert "greet" in str(message.message)
    assert f"/proposals/{row.pk}/" in str(message.message)
    assert "kinder" not in str(message.message), "no word of a model's"


def test_taken_over_it_is_a_version_by_whoever_took_it() -> None:
    row = proposed()
    done = take(str(row.pk), ENGINEER, NOW)
    task = find("greet")
    assert task.current is not None
    assert (done.version, task.current.created_by) == (1, "user:eva")
    assert definition_of(task.current).principal == Role.OPERATOR, "the file says its ceiling"
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.version) == ("taken", "user:eva", 1)
    assert kinds()[-1] == "proposal.taken"


def test_an_administrator_who_takes_it_over_gives_it_no_more() -> None:
    row = proposed()
    take(str(row.pk), CONSOLE, NOW)
    current = find("greet").current
    assert current is not None
    assert definition_of(current).principal == Role.OPERATOR
    assert "  principal: operator\n" in current.text


@pytest.mark.parametrize(
    ("by", "principal", "allowed"),
    [
        (OPERATOR, "operator", True),
        (OPERATOR, "engineer", False),
        (OPERATOR, "admin", False),
        (ENGINEER, "engineer", True),
        (ENGINEER, "admin", False),
        (Principal("user:olga", Role.OPERATOR, (Grant(Role.ENGINEER, "greet"),)), "engineer", True),
    ],
)
def test_it_may_do_no_more_than_the_run(by: Principal, principal: str, allowed: bool) -> None:
    text = BETTER.replace("operator", principal)
    if allowed:
        assert proposed(text, by).ceiling == principal
        return
    with pytest.raises(ProposalRefused, match="more than this run may do"):
        proposed(text, by)


def test_without_a_principal_it_gets_what_a_task_without_one_has_and_not_more() -> None:
    assert proposed(GREET, ENGINEER).ceiling == "operator"
    for text in (GREET.replace("- name", "name").replace("\n  ", "\n"), "tasks:\n" + GREET):
        assert "principal: operator" in proposed(text, ENGINEER).text
    with pytest.raises(ProposalRefused, match="says no principal"):
        proposed("[{name: greet, trigger: manual, actions: [{type: set, value: 1}]}]")


def test_who_may_run_nothing_proposes_nothing() -> None:
    with pytest.raises(NotAllowed):
        proposed(by=Principal("user:vic", Role.VIEWER))


def test_a_secret_that_the_run_could_not_use_is_refused() -> None:
    set_secret("erp", "postgresql://x", BOX, NOW)
    text = GREET.replace("[{type: set, value: hello}]", "[{type: sql, database: erp, query: SELECT 1}]")
    with pytest.raises(NotAllowed):
        proposed(text, OPERATOR)
    hook = GREET.replace("trigger: manual", "triggers: [{webhook: {name: w, auth: bearer, secret: erp}}]")
    with pytest.raises((NotAllowed, ProposalRefused)):
        proposed(hook, OPERATOR)
    assert proposed(text, ENGINEER).state == "open"


def test_what_is_wrong_is_said_with_its_line_and_a_hint() -> None:
    with pytest.raises(ProposalRefused) as refused:
        proposed("- name: greet\n  trigger: manual\n  actions:\n    - type: notifcation\n      message: x\n")
    said = str(refused.value)
    assert "proposal:4:" in said
    assert "did you mean `notification`?" in said


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x1b", "\r"])
def test_what_nobody_would_see_in_the_difference_is_refused(hidden: str) -> None:
    with pytest.raises(ProposalRefused, match="cannot be seen"):
        proposed(GREET.replace("hello", f"he{hidden}llo"))


def test_one_task_at_a_time_and_only_what_changes_something() -> None:
    with pytest.raises(ProposalRefused, match="2 tasks"):
        proposed(GREET + GREET.replace("greet", "leave"))
    take(str(proposed(BETTER).pk), ENGINEER, NOW)
    with pytest.raises(ProposalRefused, match="exactly that already"):
        proposed(BETTER)


def test_the_same_step_proposes_once() -> None:
    one = wanted()
    assert propose(one, OPERATOR, NOW).pk == propose(one, OPERATOR, NOW).pk
    assert AgentProposal.objects.count() == 1


def test_a_newer_one_of_the_run_takes_the_place_of_the_older() -> None:
    first, second = proposed(), proposed(BETTER)
    first.refresh_from_db()
    assert (first.state, second.state) == ("replaced", "open")
    with pytest.raises(ProposalMoved):
        take(str(first.pk), ENGINEER, NOW)


def test_a_run_does_not_flood_people(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(services.MOST_OF_A_RUN):
        proposed(GREET.replace("greet", f"greet_{number}"))
    with pytest.raises(ProposalRefused, match="at most"):
        proposed(GREET.replace("greet", "one_more"))
    monkeypatch.setattr(services, "MOST_OPEN", 5)
    other = Wanted(uuid4(), GREET, "", uuid4(), "call-1-1", "improve")
    with pytest.raises(ProposalRefused, match="5 proposals wait for people already"):
        propose(other, OPERATOR, NOW)


def test_one_agent_does_not_take_the_room_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_OF_ONE", 2)

    def one(number: int, by_task: str = "improve", by: Principal = OPERATOR) -> AgentProposal:
        text = GREET.replace("greet", f"greet_{number}")
        return propose(Wanted(uuid4(), text, "", uuid4(), "call-1-1", by_task), by, NOW)

    first, _ = one(1), one(2)
    with pytest.raises(ProposalRefused, match="2 proposals of improve on behalf of user:olga wait"):
        one(3)
    assert one(4, by_task="other").state == "open"
    assert one(5, by=ENGINEER).state == "open"
    reject(str(first.pk), ENGINEER, NOW)
    assert one(6).state == "open", "once somebody has decided there is room"


def test_what_nobody_decides_on_is_closed_with_a_word() -> None:
    row = proposed()
    assert expire(NOW + WAITS) == 0, "it has its time whole"
    assert expire(NOW + WAITS + timedelta(seconds=1)) == 1
    row.refresh_from_db()
    assert (row.state, row.decided_by) == ("expired", BOX.name)
    assert row.decided_why == "nobody has decided on it for 14 days"
    assert kinds()[-1] == "proposal.expired"
    with pytest.raises(ProposalMoved):
        take(str(row.pk), ENGINEER, NOW)


def test_what_was_decided_long_ago_is_forgotten_and_what_waits_is_not() -> None:
    old, waits = proposed(), proposed(BETTER.replace("greet", "leave"))
    reject(str(old.pk), ENGINEER, NOW)
    keep = timedelta(days=10)
    tidy(NOW + keep, keep)
    assert AgentProposal.objects.count() == 2
    tidy(NOW + keep + timedelta(seconds=1), keep)
    assert [row.pk for row in AgentProposal.objects.all()] == [waits.pk]


def test_it_is_found_by_its_end_without_reading_any_text() -> None:
    first, second = proposed(), proposed(BETTER.replace("greet", "leave"))
    with CaptureQueriesContext(connection) as asked:
        assert services.find(str(first.pk)[-12:].upper()).pk == first.pk
    (query,) = asked
    assert "LIMIT 2" in query["sql"]
    with CaptureQueriesContext(connection) as asked:
        assert {row.pk for row in services.listing()} == {second.pk, first.pk}
    assert '"text"' not in asked[0]["sql"]
    AgentProposal.objects.filter(pk=second.pk).update(id=UUID(f"{uuid4()!s:.24}{str(first.pk)[-12:]}"))
    for ref, said in (
        (str(first.pk)[-12:], "several proposals end in"),
        ("%%%%", "there is no proposal"),
        ("ab", "too short"),
    ):
        with pytest.raises(ProposalUnknown, match=said):
            services.find(ref)


def test_where_the_task_has_changed_it_cannot_be_taken_over() -> None:
    apply_text(GREET, "greet.yaml", BOX, NOW)
    row = proposed(BETTER)
    assert row.base == 1
    apply_text(GREET.replace("hello", "hi"), "greet.yaml", BOX, NOW)
    assert services.compared(row).moved
    with pytest.raises(ProposalMoved, match="at version 2 by now"):
        take(str(row.pk), ENGINEER, NOW)
    row.refresh_from_db()
    assert row.state == "open"
    assert reject(str(row.pk), ENGINEER, NOW, "too late").decided_why == "too late"


def test_who_may_not_edit_that_task_neither_takes_nor_rejects() -> None:
    row = proposed()
    for act in (take, reject):
        with pytest.raises(NotAllowed):
            act(str(row.pk), OPERATOR, NOW)
    only_others = Principal("user:olga", Role.OPERATOR, (Grant(Role.ENGINEER, "other"),))
    with pytest.raises(NotAllowed):
        take(str(row.pk), only_others, NOW)


def test_what_was_decided_is_not_decided_again() -> None:
    row = proposed()
    reject(str(row.pk), ENGINEER, NOW)
    for act in (take, reject):
        with pytest.raises(ProposalMoved):
            act(str(row.pk), ENGINEER, NOW)
    with pytest.raises(ProposalUnknown):
        take(str(uuid4()), ENGINEER, NOW)


def test_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    apply_text(GREET, "greet.yaml", BOX, NOW)
    row = proposed(BETTER)
    ref = str(row.pk)[-12:]
    call_command("proposals", "list")
    call_command("proposals", "show", ref)
    said = capsys.readouterr().out
    assert ref in said
    assert "+  principal: operator" in said
    assert "waits" in said
    assert "the most it may do: operator" in said
    call_command("proposals", "take", ref)
    assert "greet: taken over as version 2." in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("proposals", "reject", ref)
    call_command("proposals", "list")
    assert "Nothing waits." in capsys.readouterr().out
    call_command("proposals", "list", "--all", "--json")
    assert '"state": "taken"' in capsys.readouterr().out, "programs read codes"
    call_command("proposals", "show", ref)
    said = capsys.readouterr().out
    assert "taken over" in said
    assert "has changed since" not in said, "it is what it became"
