"""The answering side of sync for other boxes: a bearer token with the scope ``sync``."""

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.cache import exchange
from appliance.cache.receiving import MOST
from appliance.cache.wire import Answers, Changes
from webadmin.api.auth import caller

router = Router(tags=["sync"])

Prefix = Annotated[str, Field(max_length=200)]


class ChangesIn(Schema):
    """``after`` is the cursor of the page before; the empty one is the beginning."""

    after: str = Field("", max_length=60)
    prefixes: list[Prefix] = Field(max_length=200)
    limit: int = Field(100, ge=1, le=MOST)


class PushIn(Schema):
    """Each message is read by itself, and answered by its ``id``."""

    messages: list[Any] = Field(max_length=MOST)


@router.post("/changes", response=Changes, summary="Kept values that changed after a position")
def changes(request: HttpRequest, body: ChangesIn) -> Changes:
    caller(request, Ability.SYNC)
    return exchange.changes_for(body.after, body.prefixes, body.limit, datetime.now(UTC))


@router.post("/push", response=Answers, summary="Offer kept values, each by compare-and-set")
def push(request: HttpRequest, body: PushIn) -> Answers:
    who = caller(request, Ability.SYNC)
    return exchange.take_from(body.messages, who.principal, datetime.now(UTC))
