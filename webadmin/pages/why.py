"""Why the policy answers as it does for the steps of a run, and which rules nearly decided."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from appliance.accounts.domain import Ability
from appliance.runs.policy_view import StepNotFound, seen_steps
from appliance.runs.services import RunNotFound
from appliance.safety.policy.errors import PolicyUnreadable
from appliance.safety.policy.explaining import explain
from appliance.safety.policy.services import policy_in_force
from webadmin.pages.access import needs


@needs(Ability.MANAGE_POLICY)
def why(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Of one step (``?step=``) or of all; by the policy in force now, beside the rule that decided then."""
    step = request.GET.get("step", "")
    try:
        seen = seen_steps(run_id, step)
    except (RunNotFound, StepNotFound) as error:
        raise Http404(str(error)) from error
    context = {"run_id": run_id, "step": step, "found": [], "unreadable": ""}
    try:
        policy = policy_in_force()
        context["found"] = [(one, explain(policy, one.static, one.facts)) for one in seen]
    except PolicyUnreadable as error:
        context["unreadable"] = str(error)
    return render(request, "runs/why.html", context)
