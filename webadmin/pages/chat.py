"""The web admin's own chat: the notification feed, and talking to the box."""

from datetime import UTC, datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.bridges import chats
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, person
from webadmin.pages.feed import said
from webadmin.pages.files import sent
from webadmin.pages.paging import PAGE, cut, number_key


@needs(Ability.VIEW)
def chat(request: HttpRequest) -> HttpResponse:
    """Oldest at the top, as chats are read; older ones are a page away."""
    cursor = current_cursor()
    before = number_key(request.GET.get("before", ""))
    found, following = cut(chats.messages(person(request), before=before, limit=PAGE + 1))
    context = {
        "cursor": cursor,
        "chat": said(found[::-1]),
        "next": following,
        "may_write": person(request).can(Ability.CHAT),
    }
    return render(request, "chat.html", context)


@require_POST
@needs(Ability.CHAT)
def write(request: HttpRequest) -> HttpResponse:
    try:
        chats.post_message(person(request), request.POST.get("text", ""), datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
    return redirect("chat")


@needs(Ability.VIEW)
def file(request: HttpRequest, message: int, number: int) -> HttpResponse:
    """A picture or a log that goes with a message."""
    try:
        return sent(chats.file_of(person(request), message, number))
    except chats.FileNotThere as error:
        raise Http404(str(error)) from error
