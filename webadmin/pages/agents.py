"""What an agent did: its part of a run's page, the page that explains one turn, and taking back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.domain import ANSWER
from appliance.agent.errors import AgentNotFound
from appliance.agent.explaining.domain import AgentView, TurnView, Undo
from appliance.agent.explaining.services import agents_in, explain
from appliance.agent.undoing import undo
from appliance.lib.errors import MillwrightError
from appliance.runs.domain import RunState
from appliance.runs.models import Run, Split
from appliance.runs.services import RunNotFound, get, task_name
from appliance.safety.approvals.services import open_ones
from webadmin.agent_failures import Failure, failure_of
from webadmin.model_here import no_model_now
from webadmin.outcomes import outcome_of
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.approvals import ApprovalView, views_of
from webadmin.pages.returning import back_or

WIDTH = 1000
LAST_OPEN = 2
"""So many of the newest turns are shown unfolded."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of a budget is spent, and how wide its bar is, of ``WIDTH``."""

    spent: float
    of: float
    width: int


@dataclass(frozen=True, slots=True)
class AgentPart:
    """An agent for its card. ``cards`` are the open questions about its steps. ``mute``: it asks, and no model answers
    now."""

    view: AgentView
    cards: dict[str, ApprovalView]
    unfolded: frozenset[int]
    task: str = ""
    mute: bool = False

    @property
    def name(self) -> str:
        """What tells it from others of the page, in addresses."""
        return f"{self.view.step}-{self.view.attempt}"

    @property
    def steps(self) -> Meter:
        return _meter(self.view.cost.steps, self.view.cost.of_steps)

    @property
    def tokens(self) -> Meter:
        return _meter(self.view.cost.tokens, self.view.cost.of_tokens)

    @property
    def seconds(self) -> Meter:
        return _meter(self.view.cost.seconds, self.view.cost.of_seconds)

    @property
    def failure(self) -> Failure | None:
        """Why it ended without an answer, or does not get on."""
        return failure_of(self.view)

    @property
    def folded(self) -> int:
        """How many turns stand there as one line."""
        return len(self.view.turns) - len(self.unfolded)


def _meter(spent: float, of: float) -> Meter:
    return Meter(spent, of, min(WIDTH, round(spent / of * WIDTH)) if of else 0)


def agent_parts(runs: Sequence[Run], by: Principal, splits: Sequence[Split] | None = None) -> list[AgentPart]:
    """For a run's page, and for every other place that shows an agent."""
    views = agents_in(runs, by, splits)
    asked = [view.run_id for view in views if view.open_words]
    cards = views_of(open_ones(datetime.now(UTC), asked), by) if asked else []
    mute = any(_asks(view) for view in views) and no_model_now(datetime.now(UTC))
    return [
        AgentPart(view, _cards(view, cards), _unfolded(view), mute=mute and _asks(view)) for view in views
    ]


def _asks(view: AgentView) -> bool:
    """Whether it waits for what a model says."""
    return not view.ended and bool(view.turns) and view.turns[-1].state == "running"


def told_of(run: Run, agents: Sequence[AgentPart]) -> dict[str, object]:
    """What the page of a run says of it as a whole, given its agents: what it came to, and what need not be said a
    second time, for the card of an agent says it."""
    views = [one.view for one in agents]
    answers = [view.answer for view in views if view.answer is not None]
    return {
        "outcome": outcome_of(answers) if run.state == RunState.SUCCEEDED else "",
        "warning": _warning(run, views),
        "told": any(view.ended and view.work_state in ("failed", "cancelled") for view in views),
        "inside": [one for one in agents if one.view.task_run == run.pk and one.view.undoable],
    }


def _warning(run: Run, views: Sequence[AgentView]) -> str:
    """What the run warns of besides what the answers of its agents say."""
    left = run.warning
    for view in views:
        if view.answer is not None and view.answer.doubts:
            for step in (view.step, ANSWER):
                left = left.replace(f"{step}: {view.answer.doubts}", "")
    return left.strip("; ")


def _cards(view: AgentView, cards: Sequence[ApprovalView]) -> dict[str, ApprovalView]:
    return {one.row.step: one for one in cards if one.row.run_id == view.run_id}


def _unfolded(view: AgentView) -> frozenset[int]:
    """The newest turns; where a person is asked, what they are asked about, and nothing that stands in the way."""
    waiting = [turn.number for turn in view.turns if _waits(turn)]
    return frozenset(waiting or [turn.number for turn in view.turns][-LAST_OPEN:])


def _waits(turn: TurnView) -> bool:
    asked = any(call.waits or call.undo is Undo.WAITS for call in turn.calls)
    return asked or any(word.state == "open" for word in turn.plan)


@needs(Ability.VIEW)
def turn_page(request: HttpRequest, run_id: UUID, step: str, number: int) -> HttpResponse:
    """One turn: what was sent, what came back, by which model, what the gate decided, and what it cost."""
    try:
        found = explain(run_id, step, number, person(request).principal)
    except (RunNotFound, AgentNotFound) as error:
        raise Http404(str(error)) from error
    context = {
        "run_id": run_id,
        "name": task_name(get(run_id)),
        "step": step,
        "explained": found,
        "turn": found.turn,
        "agent": found.agent,
        "before": number - 1 if number > 1 else None,
        "after": number + 1 if any(one.number > number for one in found.agent.turns) else None,
    }
    return render(request, "agents/turn_page.html", context)


@require_POST
@needs_somewhere(Ability.RUN_TASKS)
def take_back(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Undo one turn of the agent whose own run this is, or all of it."""
    wanted = request.POST.get("turn", "")
    try:
        steps = undo(run_id, person(request).principal, int(wanted) if wanted.isdigit() else None)
        number = len(steps)
        said = ngettext(
            "%(number)d call is being taken back.", "%(number)d calls are being taken back.", number
        )
        messages.success(request, said % {"number": number})
    except RunNotFound as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
    return back_or(request, run_id)
