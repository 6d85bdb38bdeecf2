"""Runbooks: what is in the folder, a search, and one of them to read."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from appliance.accounts.domain import Ability
from appliance.agent.errors import KnowledgeUnknown
from appliance.agent.knowledge import services
from appliance.agent.knowledge.index import Hit
from webadmin.pages.access import needs, person
from webadmin.pages.paging import PAGE
from webadmin.runbook import to_html, to_words

LONGEST_QUERY = 300
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class HitView:
    hit: Hit
    address: str

    @property
    def text(self) -> str:
        """Its words, without the heading, which stands above it, and without the marks of its Markdown."""
        words = to_words(self.hit.text)
        return words if len(words) <= _SHOWN else f"{words[:_SHOWN].rstrip()} …"


@needs(Ability.VIEW)
def knowledge(request: HttpRequest) -> HttpResponse:
    """With a question the passages that are nearest to it; else every file, page by page."""
    by = person(request).principal
    query, after = (request.GET.get(name, "").replace("\x00", "")[:LONGEST_QUERY] for name in ("q", "after"))
    found = [one for one in services.files(by) if one.file > after]
    context = {
        "query": query.strip(),
        "hits": [
            HitView(hit, f"{address_of(hit.file)}#s{hit.section}")
            for hit in (services.search(query, by, most=12) if query.strip() else ())
        ],
        "files": [(one, address_of(one.file)) for one in found[:PAGE]],
        "next": found[PAGE - 1].file if len(found) > PAGE else None,
        "troubles": services.troubles(by),
        "folder": services.folder(),
    }
    return render(request, "knowledge/list.html", context)


@needs(Ability.VIEW)
def runbook(request: HttpRequest, file: str) -> HttpResponse:
    """Only what the folder's own list has is ever opened."""
    by = person(request).principal
    try:
        found = services.sections_of(file.replace("\x00", ""), by)
    except KnowledgeUnknown as error:
        raise Http404(str(error)) from error
    known = {one.file for one in services.files(by)}

    def where(name: str) -> str | None:
        return address_of(name) if name in known else None

    sections = [(one, to_html(one.text, file, where)) for one in found]
    return render(request, "knowledge/page.html", {"file": file, "sections": sections})


def address_of(file: str) -> str:
    return reverse("knowledge-page", args=[file])
