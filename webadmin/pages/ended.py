"""What a run's page offers when the run has ended: to go on from a step as a new run, and to undo."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.lib.errors import MillwrightError
from appliance.runs import ended, services, taking_back
from appliance.runs.domain import FINAL, RunState
from appliance.runs.ended import Resume, is_forgotten, rows_of
from appliance.runs.fork import Fork, ForkRefused, WouldRepeat, fork_at
from appliance.runs.models import Checkpoint, Run
from appliance.runs.plan import StepRow
from appliance.runs.shards.taking_over import fork_of
from appliance.runs.taking_back import undoable
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.task import DefinitionError
from appliance.tasks.models import TaskVersion
from appliance.tasks.services import definition_of
from webadmin.pages.access import needs_somewhere, person
from webadmin.pages.tasks import read_inputs

MOST_FORKS = 20


@dataclass(frozen=True, slots=True)
class Offer:
    """``forks`` are the steps to go on from, ``chosen`` the one that the form is about."""

    forks: tuple[Fork, ...]
    chosen: Fork
    asked: bool
    checkpoints: tuple[Checkpoint, ...]
    variables: tuple[str, ...]

    @property
    def steps(self) -> frozenset[str]:
        return frozenset(fork.step for fork in self.forks)


def offer_of(
    run: Run,
    definition: TaskDefinition | None,
    rows: Sequence[StepRow],
    kept: Sequence[Checkpoint],
    wanted: str,
) -> Offer | None:
    """Where the run can go on; None where it cannot. ``wanted`` is the step that the person pointed at."""
    if definition is None:
        return None
    forks = []
    for spec in definition.actions:
        try:
            forks.append(fork_at(definition, rows, spec.id))
        except ForkRefused:
            continue
    if not forks:
        return None
    chosen = next((fork for fork in forks if fork.step == wanted), forks[-1])
    with suppress(ForkRefused):  # then the button says why
        chosen = fork_of(run.pk, definition, rows, chosen.step)
    own = tuple(one for one in kept if one.step == chosen.step)
    asked = chosen.step == wanted
    return Offer(tuple(forks), chosen, asked, own, tuple(sorted(definition.vars)))


def context_of(run: Run, version: TaskVersion | None, wanted: str) -> dict[str, object]:
    """What the page shows below an ended run's state."""
    kept = list(Checkpoint.objects.filter(run_id=run.pk).defer("content").order_by("-number"))
    forks = Run.objects.filter(forked_from=run.pk, pk__gt=run.pk).order_by("-id")[:MOST_FORKS]
    context: dict[str, object] = {"checkpoints": kept, "forks": list(forks)}
    if RunState(run.state) in FINAL or run.waiting_for == "ambiguous":
        definition, rows = _definition(version), rows_of(run.pk)
        context["offer"] = None if is_forgotten(run, rows) else offer_of(run, definition, rows, kept, wanted)
        if definition is not None and run.state != RunState.UNDONE:
            context["undoable"] = undoable(definition, rows)
    return context


def _definition(version: TaskVersion | None) -> TaskDefinition | None:
    try:
        return definition_of(version) if version else None
    except DefinitionError:
        return None


@require_POST
@needs_somewhere(Ability.RUN_TASKS)
def resume(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Go on from a step or a checkpoint, as a new run."""
    step, number = request.POST.get("step", ""), request.POST.get("checkpoint", "")
    back = f"{reverse('run', args=[run_id])}?from={step}#resume"
    try:
        wanted = Resume(
            step=step,
            checkpoint=int(number) if number.isdigit() else None,
            vars=read_inputs(request.POST.get("vars", "")),
            repeat_unsafe="repeat" in request.POST,
        )
        return redirect("run", run_id=ended.resume(run_id, person(request).principal, wanted))
    except services.RunNotFound as error:
        raise Http404(str(error)) from error
    except WouldRepeat as error:
        said = _("%(why)s Tick the box if that is what you want.") % {"why": f"{error.message}."}
        messages.error(request, said)
    except MillwrightError as error:
        messages.error(request, str(error))
    return redirect(back)


@require_POST
@needs_somewhere(Ability.RUN_TASKS)
def undo(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Take back what the run did."""
    try:
        taking_back.undo(run_id, person(request).principal)
    except services.RunNotFound as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
    return redirect("run", run_id=run_id)
