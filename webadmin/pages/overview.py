"""The first page: is everything well, and what happened last."""

from datetime import UTC, datetime

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from appliance.accounts.domain import Ability
from appliance.bridges import chats
from appliance.bridges.liveness import liveness
from appliance.escalations.services import waiting
from appliance.events.services import current_cursor
from appliance.lib.config import get_config
from appliance.outbox.network.services import network_state
from appliance.runs.models import Run
from appliance.safety.approvals.services import open_ones
from appliance.tasks.models import Task
from appliance.tasks.questions import open_questions
from webadmin.health import part_states
from webadmin.pages.access import needs, person
from webadmin.pages.approvals import views_of
from webadmin.pages.bus import rate_of_all
from webadmin.pages.escalations import views_of as escalation_views
from webadmin.pages.feed import said
from webadmin.pages.runs import name_tasks
from webadmin.simulator import PLAYER

LAST_RUNS = 12
MOST_APPROVALS = 3
LAST_MESSAGES = 12


@needs(Ability.VIEW)
def overview(request: HttpRequest) -> HttpResponse:
    cursor, now = current_cursor(), datetime.now(UTC)
    runs = list(Run.whole.order_by("-id")[:LAST_RUNS])
    name_tasks(runs)
    unfinished = Run.whole.filter(state__in=["queued", "running", "waiting"])
    counts = dict(unfinished.values_list("state").annotate(Count("id")).order_by())
    unanswered, live = waiting(), liveness(now)
    context = {
        "cursor": cursor,
        "escalations": escalation_views(unanswered[:MOST_APPROVALS], person(request).principal),
        "unanswered_count": len(unanswered),
        "more_escalations": max(0, len(unanswered) - MOST_APPROVALS),
        "questions": open_questions(now),
        "approvals": views_of(open_ones(now)[:MOST_APPROVALS], person(request).principal),
        "parts": part_states(),
        "durability": get_config().durability,
        "network": network_state(),
        "platforms": live,
        "liveness": live,
        "runs": runs,
        "tasks": Task.objects.count(),
        "feed": said(chats.feed(limit=LAST_MESSAGES), person(request).principal),
        "open": counts.get("queued", 0) + counts.get("running", 0),
        "waiting": counts.get("waiting", 0),
        "playing": PLAYER.state(),
        "rate": rate_of_all(now),
    }
    return render(request, "overview.html", context)
