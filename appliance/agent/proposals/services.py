"""Proposing a task, looking at what is proposed, taking it over and rejecting it: the only door for other areas."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.errors import ProposalMoved, ProposalRefused, ProposalUnknown
from appliance.agent.models import AgentProposal, ProposalState
from appliance.agent.proposals import notices
from appliance.agent.proposals.ceiling import check, with_ceiling
from appliance.agent.proposals.settling import on_record, settle
from appliance.audit.services import append_here
from appliance.lib.digest import sha256_hex
from appliance.lib.plain import plain_text
from appliance.lib.said import say
from appliance.lib.unseen import is_seen
from appliance.safety.read_only import refuse_changes
from appliance.tasks.loader import LoadedTask, TaskFileError
from appliance.tasks.models import Task
from appliance.tasks.services import Applied, apply_text, load_here, secrets_needed

MOST_OF_ONE = 10
"""Open ones of one agent on behalf of one person: whoever floods people with proposals is told to wait for them."""
MOST_OPEN = 100
"""Of the whole box."""
MOST_OF_A_RUN = 5
LONGEST_WHY = 500
SHORTEST_REF = 4
_PROBLEMS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """``id`` follows from the step: the same step proposes once. ``by_task``: the task whose run it is."""

    id: UUID
    text: str
    why: str
    run_id: UUID
    step: str
    by_task: str


def propose(wanted: Wanted, by: Principal, now: datetime) -> AgentProposal:
    """Keep a task that an agent proposes, as far as its run could do what that does, and tell people.

    ``by`` is the run's principal, no more than its ceiling. Raises ProposalRefused, with every problem of the text, its
    line and a hint; NotAllowed, ReadOnlyNow.
    """
    by.require(Ability.RUN_TASKS)
    refuse_changes(by)
    known = AgentProposal.objects.filter(pk=wanted.id).first()
    if known is not None:
        return known
    _check_letters(wanted.text)
    found = _one_task(wanted.text, by)
    name = found.definition.name
    most = by.role_on(task=name)
    check(found.definition, most)
    text = with_ceiling(wanted.text, found.definition, most)
    found = _one_task(text, by)
    if found.definition.principal is None or found.definition.name != name:
        raise ProposalRefused("the task says no principal", hint=f"write principal: {most} or less")
    for secret in sorted(secrets_needed(found.definition)):
        by.require(Ability.USE_SECRETS, secret=secret)
    with transaction.atomic():
        return _keep(wanted, found, text, by, now)


def _check_letters(text: str) -> None:
    """Whoever reads the difference sees every character of it. Raises ProposalRefused."""
    hidden = next((one for one in text if one not in "\n\t" and not is_seen(one)), "")
    if hidden:
        raise ProposalRefused(
            f"the character U+{ord(hidden):04X} in it cannot be seen",
            hint="leave it out, or write it as \\u…",
        )


def _one_task(text: str, by: Principal) -> LoadedTask:
    try:
        found = load_here(text, "proposal", by)
    except TaskFileError as error:
        said = "\n".join(str(one) for one in error.problems[:_PROBLEMS_SHOWN])
        raise ProposalRefused(
            f"the task cannot be read:\n{said}", hint="mend it and propose it again"
        ) from error
    if len(found) != 1:
        raise ProposalRefused(f"there are {len(found)} tasks in it", hint="propose one task at a time")
    return found[0]


def _keep(wanted: Wanted, found: LoadedTask, text: str, by: Principal, now: datetime) -> AgentProposal:
    name = found.definition.name
    task = Task.objects.select_related("current").filter(name=name).first()
    current = task.current if task is not None else None
    if current is not None and current.digest == found.digest:
        raise ProposalRefused(f"the task {name} is exactly that already")
    rows = AgentProposal.objects.filter(state=ProposalState.OPEN.value)
    rows.filter(run_id=wanted.run_id, task=name).update(state=ProposalState.REPLACED.value, decided_at=now)
    _check_room(rows, wanted, by)
    if AgentProposal.objects.filter(run_id=wanted.run_id).count() >= MOST_OF_A_RUN:
        raise ProposalRefused(f"one run proposes {MOST_OF_A_RUN} times at most")
    row = AgentProposal.objects.create(
        id=wanted.id,
        task=name,
        text=text,
        digest=sha256_hex(text.encode()),
        base=current.number if current is not None else 0,
        ceiling=str(found.definition.principal),
        why=plain_text(wanted.why)[:LONGEST_WHY],
        run_id=wanted.run_id,
        step=wanted.step[:100],
        by_task=wanted.by_task[:100],
        principal=by.name,
        created_at=now,
    )
    notices.tell(row)
    append_here("proposal.made", by.name, name, on_record(row))
    return row


def _check_room(rows: QuerySet[AgentProposal], wanted: Wanted, by: Principal) -> None:
    """Whether people have as many before them as they are given. ``rows``: those that wait. Raises ProposalRefused."""
    own = rows.filter(by_task=wanted.by_task[:100], principal=by.name).count()
    if own >= MOST_OF_ONE:
        raise ProposalRefused(
            f"{own} proposals of {wanted.by_task} on behalf of {by.name} wait for people already",
            hint="say so in your answer",
        )
    if rows.count() >= MOST_OPEN:
        raise ProposalRefused(f"{MOST_OPEN} proposals wait for people already", hint="say so in your answer")


def listing(*, only_open: bool = False) -> QuerySet[AgentProposal]:
    """Newest first, without their texts."""
    rows = AgentProposal.objects.defer("text").order_by("-id")
    return rows.filter(state=ProposalState.OPEN.value) if only_open else rows


def decided() -> QuerySet[AgentProposal]:
    """What does not wait any more, newest first, without their texts."""
    return AgentProposal.objects.defer("text").exclude(state=ProposalState.OPEN.value).order_by("-id")


def find(ref: str) -> AgentProposal:
    """By its identifier, or by as much of its end as names one. Raises ProposalUnknown."""
    text = plain_text(ref.strip().lower())[:40]
    try:
        return AgentProposal.objects.get(pk=UUID(text))
    except (ValueError, AgentProposal.DoesNotExist):
        pass
    if len(text) < SHORTEST_REF:
        raise ProposalUnknown(
            f"{ref[:60]!r} is too short to be a proposal's end", hint=f"at least {SHORTEST_REF} characters"
        )
    named = AgentProposal.objects.alias(ref=Cast("id", TextField())).filter(ref__endswith=text)
    found = list(named.order_by("-id")[:2])
    if len(found) > 1:
        raise ProposalUnknown(f"several proposals end in {ref[:60]!r}", hint="give more of its end")
    if not found:
        raise ProposalUnknown(f"there is no proposal {ref[:60]!r}", hint="manage.py proposals list --all")
    return found[0]


@dataclass(frozen=True, slots=True)
class Compared:
    """A proposal beside what is in force: the text it was made from, and whether that is still the current one."""

    row: AgentProposal
    before: str
    number: int
    """The version of the task that is in force; 0: none."""

    @property
    def moved(self) -> bool:
        return self.number != self.row.base


def compared(row: AgentProposal) -> Compared:
    """Against the version in force, which is what taking it over would change."""
    task = Task.objects.select_related("current").filter(name=row.task).first()
    current = task.current if task is not None else None
    return Compared(row, current.text if current else "", current.number if current else 0)


def take(ref: str, by: Principal, now: datetime) -> Applied:
    """Apply it: the ordinary way, by this person and with their rights. Raises ProposalUnknown, ProposalMoved,
    TaskFileError, NotAllowed, ReadOnlyNow."""
    wanted = _theirs(ref, by)
    with transaction.atomic():
        row = _open(wanted.pk)
        there = compared(row)
        if there.moved:
            raise ProposalMoved(
                say(
                    "the task %(task)s is at version %(number)s by now, and this was made from version %(base)s",
                    task=row.task,
                    number=there.number,
                    base=row.base,
                ),
                hint="reject it, and let the agent look at the task again",
            )
        applied = apply_text(row.text, f"proposal {row.pk}", by, now, only=row.task)[0]
        settle(row, ProposalState.TAKEN, by.name, now, version=applied.version)
    return applied


def reject(ref: str, by: Principal, now: datetime, why: str = "") -> AgentProposal:
    """Nothing becomes of it. Raises ProposalUnknown, ProposalMoved, NotAllowed, ReadOnlyNow."""
    wanted = _theirs(ref, by)
    with transaction.atomic():
        row = _open(wanted.pk)
        settle(row, ProposalState.REJECTED, by.name, now, why=plain_text(why)[:LONGEST_WHY])
    return row


def _theirs(ref: str, by: Principal) -> AgentProposal:
    """The proposal, where they may write its task."""
    if not by.can_somewhere(Ability.EDIT_TASKS):
        by.require(Ability.EDIT_TASKS)
    refuse_changes(by)
    try:
        row = find(ref)
    except ProposalUnknown:
        by.require(Ability.EDIT_TASKS)
        raise
    by.require(Ability.EDIT_TASKS, task=row.task)
    return row


def _open(key: UUID) -> AgentProposal:
    row = AgentProposal.objects.select_for_update().get(pk=key)
    if row.state != ProposalState.OPEN:
        raise ProposalMoved(say("this proposal does not wait any more"))
    return row
