"""The bus: the last value and rate of every topic, and publishing."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.bus.brokers.by_hand import publish_by_hand
from appliance.bus.brokers.services import known_prefixes
from appliance.bus.errors import TopicRefused
from appliance.bus.models import TopicValue
from appliance.bus.services import current_rate
from appliance.bus.topics import check_topic
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.paging import PAGE

FADED = timedelta(minutes=3)
"""A topic that was silent for so long adds less than one part in 400 of its rate."""
LONGEST_PAYLOAD = 64 * 1024


class PublishForm(forms.Form):
    topic = forms.CharField(label=gettext_lazy("Topic"), max_length=1000)
    broker = forms.ChoiceField(label=gettext_lazy("Broker"), required=False)
    payload = forms.CharField(
        label=gettext_lazy("Payload"),
        required=False,
        strip=False,
        max_length=LONGEST_PAYLOAD,
        widget=forms.Textarea(attrs={"rows": 4, "class": "code", "spellcheck": "false"}),
    )
    retain = forms.BooleanField(label=gettext_lazy("Keep it as the topic's last value"), required=False)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        names = list(known_prefixes())
        if names:
            own = [("", _("the box's own"))]
            self.fields["broker"].choices = own + [(name, name) for name in names]  # type: ignore[attr-defined]  # of a ChoiceField
        else:
            del self.fields["broker"]

    def clean_topic(self) -> str:
        topic: str = self.cleaned_data["topic"]
        try:
            check_topic(topic)
        except TopicRefused as error:
            raise forms.ValidationError(str(error)) from error
        return topic


@needs(Ability.VIEW)
def bus(request: HttpRequest) -> HttpResponse:
    """Topics by name, filtered by a part of it; each page begins after the last topic of the one before."""
    return _page(request, PublishForm())


@require_POST
@needs_somewhere(Ability.PUBLISH)
def publish(request: HttpRequest) -> HttpResponse:
    form = PublishForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    said = form.cleaned_data
    payload = said["payload"].replace("\r\n", "\n").encode()
    by, broker = person(request).principal, said.get("broker", "")
    try:
        place = publish_by_hand(said["topic"], payload, by, broker=broker, retain=said["retain"])
    except MillwrightError as error:
        form.add_error(None, str(error))
        return _page(request, form, status=422)
    messages.success(request, _("Published to %(topic)s.") % {"topic": place})
    return redirect("bus")


def _page(request: HttpRequest, form: PublishForm, status: int = 200) -> HttpResponse:
    now = datetime.now(UTC)
    wanted = request.GET.get("filter", "").replace("\x00", "")[:200]
    rows = TopicValue.objects.filter(topic__gt=request.GET.get("after", "").replace("\x00", ""))
    if wanted:
        rows = rows.filter(topic__contains=wanted)
    topics = list(rows.order_by("topic")[: PAGE + 1])
    for row in topics:
        row.rate = current_rate(row.rate, row.at, now)
    context = {
        "cursor": current_cursor(),
        "topics": topics[:PAGE],
        "next": topics[PAGE - 1].topic if len(topics) > PAGE else None,
        "filter": wanted,
        "form": form,
        "may_publish": person(request).can_somewhere(Ability.PUBLISH),
    }
    return render(request, "bus.html", context, status=status)


def rate_of_all(now: datetime) -> float:
    """Messages a second on all topics together."""
    rows = TopicValue.objects.filter(at__gt=now - FADED).values_list("rate", "at")
    return sum(current_rate(rate, at, now) for rate, at in rows)
