"""``audit.search``: what was asked, allowed and done, from the audit record."""

from typing import Annotated

from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.audit.models import AuditRecord
from appliance.audit.search import Search, search
from appliance.lib.duration import parse_duration
from appliance.lib.jsontypes import JsonObject, JsonValue

LONGEST = 500
_Words = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class AuditSearchArguments(Arguments):
    kind: _Words = ""
    """What kind of record, as step.intent or run.*"""
    principal: _Words = ""
    """Whose, as user:ana or user:*"""
    about: _Words = ""
    """Of this run, task, device or other subject only."""
    text: _Words = ""
    """With these words in it."""
    last: str = "24h"
    """How far back, as 30m, 24h or 7d."""
    most: Annotated[int, Field(ge=1, le=50)] = 20
    """How many."""


class AuditSearchTool(QueryTool[AuditSearchArguments]):
    name = "audit.search"
    says = "Search the audit record: who asked for what, what was allowed, refused and done."
    arguments = AuditSearchArguments
    example = {"about": "restart_pump", "last": "7d"}

    def answer(self, given: AuditSearchArguments, asking: Asking) -> JsonValue:
        asking.by.require(Ability.VIEW_AUDIT)
        since = asking.now - parse_duration(given.last)
        wanted = Search(since, None, given.kind, given.principal, given.about, given.text)
        found = search(wanted, limit=given.most)
        records: list[JsonValue] = [_row(one) for one in found.records]
        return {"records": records, "there_is_more": found.next is not None}


def _row(one: AuditRecord) -> JsonObject:
    return {
        "number": one.seq,
        "at": f"{one.at:%Y-%m-%dT%H:%M:%SZ}",
        "kind": one.kind,
        "principal": one.principal,
        "about": one.subject,
        "detail": str(one.detail)[:LONGEST],
    }
