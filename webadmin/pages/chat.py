"""The web admin's own chat: talking to the box and to its assistant, the feed, and what the assistant remembers."""

from collections.abc import Callable
from datetime import UTC, datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent import assistant
from appliance.agent.conversations import notes as memory
from appliance.agent.conversations import services as talk
from appliance.agent.conversations.domain import LONGEST_NOTE
from appliance.bridges import chats
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.lib.sentences import sentence_of
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.conversation import conversation_of, listener_of, memory_of
from webadmin.pages.feed import said
from webadmin.pages.files import sent
from webadmin.pages.paging import number_key

LAST_OF_FEED = 20
Deed = Callable[[Principal, datetime], object]


@needs(Ability.VIEW)
def chat(request: HttpRequest) -> HttpResponse:
    """Oldest at the top, as chats are read; older ones are a page away."""
    cursor, user = current_cursor(), person(request)
    found = conversation_of(user, number_key(request.GET.get("before", "")))
    may_write = user.can(Ability.CHAT)
    context = {
        "cursor": cursor,
        "conversation": found,
        "next": found.next,
        "feed": said(chats.feed(limit=LAST_OF_FEED), user.principal),
        "listener": listener_of(user, datetime.now(UTC)),
        "memory": memory_of(user) if may_write else None,
        "longest_note": LONGEST_NOTE,
        "may_write": may_write,
    }
    return render(request, "chat/page.html", context)


@require_POST
@needs(Ability.CHAT)
def write(request: HttpRequest) -> HttpResponse:
    """With htmx nothing comes back: what was written comes as all that happens does."""
    try:
        chats.post_message(person(request), request.POST.get("text", ""), datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, sentence_of(error))
        return _shown(request)
    return HttpResponse(status=204) if "HX-Request" in request.headers else redirect("chat")


def _shown(request: HttpRequest) -> HttpResponse:
    """The page anew, with what is to be said."""
    if "HX-Request" in request.headers:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return redirect("chat")


@require_POST
@needs(Ability.CHAT)
def forget(request: HttpRequest) -> HttpResponse:
    """Forget what was said, or only begin anew."""
    number = number_key(request.POST.get("conversation", "")) or 0
    if request.POST.get("do") == "anew":
        return _done(
            request,
            lambda by, now: talk.begin_anew(by, number, now),
            _("A new conversation: what was said before is not used any more."),
        )
    return _done(
        request,
        lambda by, now: talk.forget(by, number, now),
        _("Forgotten: the assistant knows nothing any more of what was said."),
    )


@require_POST
@needs(Ability.CHAT)
def note(request: HttpRequest, number: int) -> HttpResponse:
    """Accept, reject or end a note."""
    deeds = {
        "accept": (memory.accept, _("Accepted.")),
        "reject": (memory.reject, _("Rejected.")),
        "end": (memory.end, _("It counts no more.")),
    }
    wanted = deeds.get(request.POST.get("do", ""))
    if wanted is None:
        messages.error(request, _("Choose one of the answers."))
        return redirect("chat")
    deed, told = wanted
    return _done(request, lambda by, now: deed(by, number, now), told)


@require_POST
@needs(Ability.CHAT)
def instruct(request: HttpRequest) -> HttpResponse:
    """What the assistant is to keep to from now on."""
    text = request.POST.get("text", "")
    return _done(request, lambda by, now: memory.instruct(by, text, now), _("It keeps to that from now on."))


@require_POST
@needs_somewhere(Ability.EDIT_TASKS)
def switch(request: HttpRequest) -> HttpResponse:
    """Switch the assistant on that ships, or off."""
    if request.POST.get("do") == "off":
        return _done(request, assistant.switch_off, _("The assistant is switched off."))
    return _done(request, assistant.switch_on, _("The assistant is switched on."))


def _done(request: HttpRequest, deed: Deed, told: str) -> HttpResponse:
    try:
        deed(person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, sentence_of(error))
    else:
        messages.success(request, told)
    return redirect("chat")


@needs(Ability.VIEW)
def file(request: HttpRequest, message: int, number: int) -> HttpResponse:
    """A picture or a log that goes with a message."""
    try:
        return sent(chats.file_of(person(request), message, number))
    except chats.FileNotThere as error:
        raise Http404(str(error)) from error
