"""Models: what is served and how it is, the memory they share, a prompt to try them, and which does which work."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.events.services import current_cursor
from appliance.inference import services
from appliance.inference.acceptance import services as acceptance
from appliance.inference.domain import Work
from appliance.inference.hardware.reading import this_machine
from appliance.inference.models import Candidate
from appliance.inference.overview import chains, changes, imports, keeper, lacks_llamacpp, overview
from appliance.inference.trying import Piece, ask
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, person
from webadmin.pages.model_parts import bars, choices, devices
from webadmin.sentences import kept

CHANGES = 15
DECISIONS = 20
STREAM = "text/event-stream"

ACTIONS: dict[str, Callable[[str, Principal, datetime], Any]] = {
    "load": lambda name, by, now: services.load(name, by),
    "unload": lambda name, by, now: services.unload(name, by),
    "free": lambda name, by, now: services.free(name, by),
    "back": services.go_back,
    "accept": acceptance.accept,
    "drop": acceptance.drop,
    "withdraw": services.withdraw,
}


@dataclass(frozen=True, slots=True)
class Try:
    """A prompt, and what came of it."""

    model: str
    prompt: str
    text: str = ""
    note: str = ""
    error: str = ""


@needs(Ability.VIEW)
def models(request: HttpRequest) -> HttpResponse:
    return _page(request, None)


@require_POST
@needs(Ability.MANAGE_MODELS)
def act(request: HttpRequest, name: str) -> HttpResponse:
    """Load, unload, free, withdraw it, or go back to the version before."""
    action = ACTIONS.get(request.POST.get("do", ""))
    try:
        if action is not None:
            action(name, person(request).principal, datetime.now(UTC))
            messages.success(request, _("%(name)s: done.") % {"name": name})
    except MillwrightError as error:
        messages.error(request, kept(str(error)))
    return redirect("models")


@require_POST
@needs(Ability.MANAGE_MODELS)
def serve(request: HttpRequest, name: str) -> HttpResponse:
    given = request.POST
    try:
        how = services.Serving(
            version=given.get("version", ""),
            context=_number(given.get("context", "")),
            slots=_number(given.get("slots", "")) or 1,
            device=given.get("device", ""),
            keep_alive=None if given.get("always") else services.KEEP_ALIVE,
        )
        row = services.serve(name, how, person(request).principal, datetime.now(UTC))
        if isinstance(row, Candidate):
            said = _("%(name)s is tested first, and goes live once it has passed.")
        else:
            said = _("%(name)s is served. Whoever needs it has it loaded.")
        messages.success(request, said % {"name": row})
    except MillwrightError as error:
        messages.error(request, kept(str(error)))
    return redirect("models")


@require_POST
@needs(Ability.MANAGE_MODELS)
def matrix(request: HttpRequest) -> HttpResponse:
    """One row of it: for each place a name, the best first; several names in one place between commas or spaces."""
    try:
        work = Work(request.POST.get("work", ""))
        names = " ".join(request.POST.getlist("names")).replace(",", " ").split()
        seen = _number(request.POST.get("revision", "")) or None
        services.set_chain(work, names, person(request).principal, datetime.now(UTC), revision=seen)
        messages.success(request, _("Saved."))
    except ValueError:
        messages.error(request, _("There is no such work."))
    except MillwrightError as error:
        messages.error(request, kept(str(error)))
    return redirect("models")


@require_POST
@needs(Ability.USE_MODELS)
def test(request: HttpRequest) -> HttpResponseBase:
    """Ask a model something: as it comes for who can show that, else the whole answer on the page."""
    wanted = Try(request.POST.get("model", ""), request.POST.get("prompt", ""))
    try:
        pieces = ask(keeper(), wanted.prompt, person(request).principal, model=wanted.model)
        if STREAM in request.headers.get("Accept", ""):
            answer = StreamingHttpResponse(_events(pieces), content_type=STREAM)
            answer["Cache-Control"], answer["X-Accel-Buffering"] = "no-store", "no"
            return answer
        found = async_to_sync(_collected)(pieces)
        text = "".join(piece.text for piece in found)
        return _page(request, Try(wanted.model, wanted.prompt, text, _note(found)))
    except MillwrightError as error:
        return _page(request, Try(wanted.model, wanted.prompt, error=str(error)), status=422)


async def _collected(pieces: AsyncIterator[Piece]) -> list[Piece]:
    return [piece async for piece in pieces]


async def _events(pieces: AsyncIterator[Piece]) -> AsyncIterator[str]:
    found: list[Piece] = []
    try:
        async for piece in pieces:
            found = [*found[:1], piece]
            yield _event(text=piece.text)
        yield _event(note=_note(found))
    except MillwrightError as error:
        yield _event(error=str(error))


def _event(**said: str) -> str:
    return f"data: {json.dumps(said)}\n\n"


def _note(found: Sequence[Piece]) -> str:
    chosen, last = found[0].chosen, found[-1]
    values = {
        "model": f"{chosen.model}@{chosen.version}" if chosen else "",
        "tokens": last.tokens,
        "speed": f"{last.tokens / last.seconds:.1f}" if last.seconds else "-",
    }
    return _("%(model)s: %(tokens)d tokens, %(speed)s a second") % values


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _page(request: HttpRequest, tried: Try | None, status: int = 200) -> HttpResponse:
    found, hardware = overview(), this_machine.get()
    view = found.view
    context = {
        "cursor": current_cursor(),
        "served": [row for row in found.rows if row.is_served],
        "others": [row for row in found.rows if not row.is_served and row.stored],
        "tested": [row for row in found.rows if row.candidate or row.accepted],
        "away": found.away,
        "barred": view.barred if view else "",
        "lacks_llamacpp": lacks_llamacpp(),
        "bars": bars(view, hardware) if view else [],
        "hardware": hardware,
        "devices": devices(view, hardware),
        "waiting": view.waiting if view else 0,
        "queue": view.queue if view else (),
        "decisions": view.decisions[:DECISIONS] if view else (),
        "imports": imports(),
        "changes": changes(limit=CHANGES),
        "choices": choices(found.rows, chains()),
        "tried": tried,
        "may_manage": person(request).can(Ability.MANAGE_MODELS),
        "may_use": person(request).can(Ability.USE_MODELS),
    }
    return render(request, "models.html", context, status=status)
