"""Approvals: what waits for a person's word, what has been decided, and the one-time code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.domain import is_plan
from appliance.bus.models import TopicValue
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.runs import approvals as door
from appliance.runs.models import Step
from appliance.runs.plan import Phase
from appliance.safety.approvals.codes import LIFETIME
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.errors import ApprovalRefused, CodeRefused
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word, closed_ones, may_decide, open_ones
from appliance.tasks.questions import open_questions
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.paging import PAGE, cut, uuid_key


@dataclass(frozen=True, slots=True)
class StateView:
    """A topic's value when it was asked, and now."""

    topic: str
    then: Any
    now: Any
    changed: bool


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """An open approval for its card. ``theirs``: its buttons are for the person who looks. ``about`` is the kind that
    says what it is about, ``takes_back`` whether that is done to undo something."""

    row: Approval
    states: list[StateView]
    theirs: bool
    about: str
    takes_back: bool = False


def views_of(rows: Sequence[Approval], by: Principal) -> list[ApprovalView]:
    """For the cards: one query for the states of all of them."""
    topics = {topic for row in rows for topic in row.states}
    values = {one.topic: one for one in TopicValue.objects.filter(topic__in=topics)} if topics else {}
    about = _about(rows)
    return [ApprovalView(row, _states(row, values), may_decide(row, by), *about[row.pk]) for row in rows]


def _about(rows: Sequence[Approval]) -> dict[UUID, tuple[str, bool]]:
    """The question of an agent's plan is no author's question, and the undo of a step no step of its own: the steps
    know, and are asked where its name says that it may be. One query."""
    plain = {row.pk: (row.kind, False) for row in rows}
    asked = [row for row in rows if is_plan(row.step) or _UNDO in row.step]
    if not asked:
        return plain
    steps = Step.objects.filter(
        run_id__in={row.run_id for row in asked}, step__in={row.step for row in asked}
    )
    found = {(run, step): (kind, phase) for run, step, kind, phase in steps.values_list(*_OF_STEP)}
    for row in asked:
        kind, phase = found.get((row.run_id, row.step), (row.kind, ""))
        plain[row.pk] = (kind if kind == "agent_plan" else row.kind, phase == Phase.UNDO)
    return plain


def _states(row: Approval, values: dict[str, TopicValue]) -> list[StateView]:
    found = []
    for topic, then in sorted(row.states.items()):
        last = values.get(topic)
        before = (then or {}).get("value"), (then or {}).get("quality")
        after = (last.value, last.quality) if last else (None, None)
        found.append(StateView(topic, before[0], after[0], before != after))
    return found


@needs(Ability.VIEW)
def approvals(request: HttpRequest) -> HttpResponse:
    """What is open first; below it what has been decided, newest first."""
    cursor, now = current_cursor(), datetime.now(UTC)
    before = uuid_key(request.GET.get("before", ""))
    decided, following = cut(closed_ones(before, PAGE + 1))
    about = _about(decided)
    context = {
        "cursor": cursor,
        "open": [] if before else views_of(open_ones(now), person(request).principal),
        "questions": [] if before else open_questions(now),
        "decided": [(row, *about[row.pk]) for row in decided],
        "next": following,
    }
    return render(request, "approvals/list.html", context)


@require_POST
@needs_somewhere(Ability.APPROVE)
def decide(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    by, now = person(request).principal, datetime.now(UTC)
    wanted, reason = request.POST.get("do", ""), request.POST.get("reason", "")
    try:
        if wanted == "code":
            code = door.mint_code(str(approval_id), by, now)
            said = _("Code %(code)s: good once, for %(minutes)d minutes. Whoever has it types it at the box.")
            messages.success(request, said % {"code": f"{code[:4]} {code[4:]}", "minutes": _MINUTES})
        elif wanted in set(Choice):
            done = door.decide(str(approval_id), Word(Choice(wanted), by, Way.WEB, now, reason=reason))
            said = _("Approved: %(what)s") if wanted == Choice.APPROVE else _("Denied: %(what)s")
            messages.success(request, said % {"what": f"{done.task}, {done.step}"})
        else:
            messages.error(request, _("Choose one of the answers."))
    except MillwrightError as error:
        messages.error(request, sentence(error))
    return _back(request)


@require_http_methods(["GET", "POST"])
@needs(Ability.VIEW)
def code(request: HttpRequest) -> HttpResponse:
    """Where the code of an approver is typed; the word is theirs, so every person who is signed in may."""
    by, now = person(request).principal, datetime.now(UTC)
    if request.method == "POST":
        try:
            done = door.by_code(request.POST.get("approval", ""), request.POST.get("code", ""), by, now)
        except MillwrightError as error:
            messages.error(request, sentence(error))
        else:
            messages.success(request, _("Approved: %(what)s") % {"what": f"{done.task}, {done.step}"})
            return redirect("approvals")
    context = {"open": open_ones(now), "chosen": request.GET.get("approval", "")}
    return render(request, "approvals/code.html", context)


def sentence(error: MillwrightError) -> str:
    if isinstance(error, CodeRefused):
        return _("The code is not right for this, or not good any more.")
    return _("This cannot be decided by you now.") if isinstance(error, ApprovalRefused) else str(error)


def _back(request: HttpRequest) -> HttpResponse:
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "approvals")


_UNDO = ".undo"
_OF_STEP = ("run_id", "step", "kind", "phase")
_MINUTES = int(LIFETIME.total_seconds() // 60)
