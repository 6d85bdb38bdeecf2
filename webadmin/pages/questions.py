"""Questions about missed times: the buttons under them."""

from datetime import UTC, datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.lib.errors import MillwrightError
from appliance.tasks.doors import answer_question
from appliance.tasks.questions import Choice
from webadmin.pages.access import needs_somewhere, person


@require_POST
@needs_somewhere(Ability.RUN_TASKS)
def answer(request: HttpRequest, code: str) -> HttpResponse:
    """Run once, run all or skip; whoever is first decides."""
    task = request.POST.get("task", "")
    try:
        choice = Choice(request.POST.get("do", ""))
        done = answer_question(code, choice, person(request).principal, datetime.now(UTC))
    except ValueError:
        messages.error(request, _("Choose one of the answers."))
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        if choice is Choice.SKIP:
            messages.success(request, _("%(task)s: the missed times stay missed.") % {"task": done.task})
        else:
            said = {"task": done.task, "count": len(done.runs)}
            started = ngettext(
                "%(task)s: %(count)d run started.", "%(task)s: %(count)d runs started.", len(done.runs)
            )
            messages.success(request, started % said)
        if done.refused:
            messages.warning(request, done.refused)
    return redirect("task", name=task) if task else redirect("overview")
