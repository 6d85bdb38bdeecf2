"""The calendar over HTTP."""

from datetime import UTC, datetime, timedelta

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.tasks.calendar import calendar
from webadmin.api.auth import caller
from webadmin.api.schemas import CalendarEntryOut, CalendarOut, Limit

router = Router(tags=["calendar"])

A_DAY = timedelta(days=1)


class Stretch(Schema):
    """From now, and for a day, where nothing is said; times without an offset are UTC."""

    begin: datetime | None = Field(None, alias="from")
    end: datetime | None = Field(None, alias="to")
    task: str = ""
    after: str = ""
    limit: Limit = 100


@router.get("", response=CalendarOut, summary="What was due and became what, and what will be due")
def read_calendar(request: HttpRequest, asked: Query[Stretch]) -> CalendarOut:
    caller(request, Ability.VIEW)
    now = datetime.now(UTC)
    begin = _utc(asked.begin) if asked.begin else now
    end = _utc(asked.end) if asked.end else begin + A_DAY
    task, after = (text.replace("\x00", "") for text in (asked.task, asked.after))
    page = calendar(begin, end, now, task=task, after=after, limit=asked.limit)
    items = [
        CalendarEntryOut(
            at=one.at,
            task=one.task,
            trigger=one.trigger,
            state=one.state.value,
            reason=one.reason,
            run_id=one.run_id,
        )
        for one in page.entries
    ]
    return CalendarOut(items=items, next=page.next)


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
