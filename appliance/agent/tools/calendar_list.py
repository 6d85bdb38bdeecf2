"""``calendar``: what was due and became what, and what will run next."""

from typing import Annotated

from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.duration import parse_duration
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.tasks.calendar import Entry, calendar


class CalendarArguments(Arguments):
    task: str = ""
    """Of this task only."""
    back: str = "0s"
    """How far back, as 24h; 0s for what is still to come."""
    ahead: str = "24h"
    """How far ahead, as 24h or 7d."""
    most: Annotated[int, Field(ge=1, le=60)] = 20
    """How many."""


class CalendarTool(QueryTool[CalendarArguments]):
    name = "calendar"
    says = "Show what will run when, and what became of the times that have passed."
    arguments = CalendarArguments
    example = {"ahead": "24h"}

    def answer(self, given: CalendarArguments, asking: Asking) -> JsonValue:
        asking.by.require(Ability.VIEW, task=given.task or None)
        begin, end = asking.now - parse_duration(given.back), asking.now + parse_duration(given.ahead)
        page = calendar(begin, end, asking.now, task=given.task, limit=given.most)
        return [_row(one) for one in page.entries if asking.by.can(Ability.VIEW, task=one.task)]


def _row(one: Entry) -> JsonObject:
    return {
        "at": f"{one.at:%Y-%m-%dT%H:%M:%SZ}",
        "task": one.task,
        "trigger": one.trigger,
        "state": one.state.value,
        "reason": one.reason[:200],
        "run": str(one.run_id) if one.run_id else None,
    }
