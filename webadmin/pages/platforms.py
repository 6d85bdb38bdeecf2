"""Chat platforms: their health, Telegram's form with its test, and who may talk to the box."""

from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.models import User
from appliance.bridges import identities, mutes, services
from appliance.bridges.errors import PlatformsInvalid
from appliance.bridges.liveness import deaf
from appliance.bridges.models import ChatIdentity
from appliance.bridges.pairing import VALID_FOR, new_code
from appliance.bridges.ports import ProbeState
from appliance.bridges.probing import probe_platform
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, person

TELEGRAM = "telegram"


class TelegramForm(forms.Form):
    auth = forms.CharField(
        label=gettext_lazy("Bot token"),
        required=False,
        max_length=300,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("From @BotFather. Leave it empty to keep the stored one."),
    )
    chat_id = forms.CharField(
        label=gettext_lazy("Where messages go"),
        required=False,
        max_length=100,
        help_text=gettext_lazy("A chat's number. Empty: the first person who is linked below."),
    )
    webhook = forms.URLField(
        label=gettext_lazy("Webhook"),
        required=False,
        max_length=300,
        assume_scheme="https",
        help_text=gettext_lazy("Only if the internet can reach this box. Without it the box asks Telegram."),
    )
    proxy = forms.CharField(
        label=gettext_lazy("Proxy"),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "socks5://proxy:1080", "autocapitalize": "none"}),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Switched on"), required=False, initial=True)


@needs(Ability.VIEW)
def platforms(request: HttpRequest) -> HttpResponse:
    return _page(request)


@sensitive_post_parameters("auth", "proxy")
@require_POST
@needs(Ability.MANAGE_BRIDGES)
def save_telegram(request: HttpRequest) -> HttpResponse:
    form = TelegramForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    values = {"name": TELEGRAM, **form.cleaned_data}
    try:
        services.save_platform(values, person(request).principal, datetime.now(UTC))
    except PlatformsInvalid as error:
        for problem in error.problems:
            form.add_error(problem.path if problem.path in form.fields else None, problem.message)
        return _page(request, form, status=422)
    except MillwrightError as error:
        form.add_error(None, str(error))
        return _page(request, form, status=422)
    messages.success(request, _("Saved. The box connects now; the test shows how far it gets."))
    return redirect("platforms")


@require_POST
@needs(Ability.MANAGE_BRIDGES)
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Ask the platform who we are, then send a message the way a task would."""
    try:
        probe = probe_platform(name)
        if probe.state is not ProbeState.OK:
            messages.error(request, f"{name}: {probe.message}")
            return redirect("platforms")
        services.send_test(name, _("A test from Millwright."), datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        who = f" ({probe.identity})" if probe.identity else ""
        messages.success(
            request, _("%(name)s answers%(who)s; a test message is on its way.") % {"name": name, "who": who}
        )
    return redirect("platforms")


@require_POST
@needs(Ability.MANAGE_BRIDGES)
def switch(request: HttpRequest, name: str) -> HttpResponse:
    try:
        services.set_enabled(name, request.POST.get("enabled") == "yes", person(request).principal)
    except MillwrightError as error:
        messages.error(request, str(error))
    return redirect("platforms")


@require_POST
@needs(Ability.RUN_TASKS)
def end_mute(request: HttpRequest, mute_id: int) -> HttpResponse:
    """What was muted in a chat is told again, and what was held back comes now."""
    try:
        held = mutes.end_mute(mute_id, person(request).principal)
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        said = ngettext(
            "The mute has ended; %(count)d message was held.",
            "The mute has ended; %(count)d messages were held.",
            held,
        )
        messages.success(request, said % {"count": held})
    return redirect("platforms")


@require_POST
@needs(Ability.MANAGE_USERS)
def link(request: HttpRequest, identity_id: int) -> HttpResponse:
    """Let somebody in a chat act as a person of this box, or take that back."""
    username = request.POST.get("person", "")
    try:
        if username:
            found = User.objects.filter(username=username, is_active=True).first()
            if found is None:
                messages.error(request, _("Nobody here is called %(name)s.") % {"name": username[:150]})
            else:
                identities.link_identity(identity_id, found, person(request).principal)
        else:
            identities.unlink_identity(identity_id, person(request).principal)
    except ChatIdentity.DoesNotExist as error:
        raise Http404(str(error)) from error
    return redirect("platforms")


@require_POST
@never_cache
@needs(Ability.VIEW)
def pair(request: HttpRequest) -> HttpResponse:
    """A code for oneself, shown once."""
    found = person(request)
    try:
        code = new_code(found, found.principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
        return redirect("platforms")
    return _page(request, code=code)


def _page(
    request: HttpRequest, form: TelegramForm | None = None, status: int = 200, code: str = ""
) -> HttpResponse:
    found, now = services.platforms(), datetime.now(UTC)
    stored = next((one for one in found if one.name == TELEGRAM), None)
    if form is None:
        known = stored.config if stored else {}
        initial = {key: known.get(key, "") for key in ("chat_id", "webhook", "proxy")}
        form = TelegramForm(initial={**initial, "enabled": stored.enabled if stored else True})
    context = {
        "cursor": current_cursor(),
        "platforms": found,
        "deaf_since": {one.name: one.deaf_since for one in deaf(now)},
        "form": form,
        "stored": stored,
        "identities": identities.identities(),
        "mutes": mutes.mutes(datetime.now(UTC)),
        "may_mute": person(request).can_somewhere(Ability.RUN_TASKS),
        "code": code,
        "code_minutes": int(VALID_FOR.total_seconds() // 60),
        "people": User.objects.filter(is_active=True).values_list("username", flat=True)[:200],
        "may_manage": person(request).can(Ability.MANAGE_BRIDGES),
        "may_link": person(request).can(Ability.MANAGE_USERS),
    }
    return render(request, "platforms.html", context, status=status)
