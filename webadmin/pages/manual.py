"""The manual: the documentation of this very version, served by the box itself, without the internet."""

from itertools import groupby

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from appliance.accounts.domain import Ability
from webadmin.manual import FILES, INDEX, Page, files, find, pages, search
from webadmin.pages.access import needs

LONGEST_QUERY = 100
SECTIONS: dict[str, str | Promise] = {
    "": _("Overview"),
    "tutorial": _("Learn"),
    "how-to": _("Do"),
    "reference": _("Look up"),
    "explanation": _("Understand"),
    "decisions": _("Decisions"),
}


@needs(Ability.VIEW)
def start(request: HttpRequest) -> HttpResponse:
    return _page(request, pages()[INDEX])


@needs(Ability.VIEW)
def look_up(request: HttpRequest) -> HttpResponse:
    """Pages that have all of the words."""
    query = request.GET.get("q", "").replace("\x00", "")[:LONGEST_QUERY].strip()
    context = {"query": query, "hits": search(query.split()), "sections": contents()}
    return render(request, "manual/search.html", context)


def page(request: HttpRequest, address: str) -> HttpResponseBase:
    """A page, or a picture or example of it, by the name that it has in the source tree."""
    return _shown(request, address)


@needs(Ability.VIEW)
def _shown(request: HttpRequest, address: str) -> HttpResponse:
    file = files().get(f"docs/{address}")
    if file is not None:
        answer = FileResponse(file.open("rb"), content_type=FILES[file.suffix])
        answer["Cache-Control"] = "private, max-age=3600"
        return answer  # type: ignore[return-value]  # a FileResponse is a response to Django, not to its types
    found = find(address)
    if found is None:
        raise Http404("the manual has no such page")
    return _page(request, found)


def _page(request: HttpRequest, found: Page) -> HttpResponse:
    return render(request, "manual/page.html", {"page": found, "sections": contents()})


def contents() -> list[tuple[str | Promise, list[Page]]]:
    """All pages by section, in the order in which one reads them."""
    order = list(SECTIONS)
    known = sorted(pages().values(), key=lambda one: (_rank(order, one), one.name != INDEX, one.name))
    return [
        (SECTIONS.get(section, section), list(group))
        for section, group in groupby(known, key=lambda one: one.section)
    ]


def _rank(order: list[str], one: Page) -> int:
    return order.index(one.section) if one.section in order else len(order)
