"""Messages of the box's own chats as pages show them: where one asks for a decision that has been made, the decision
stands in the place of the words that would make it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.accounts.principal import Principal
from appliance.bridges.models import ChatRecord
from appliance.safety.approvals.domain import Choice, State
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import by_tokens, may_decide


@dataclass(frozen=True, slots=True)
class Said:
    """A message. ``decided``: the approval that it asked for, where nobody can decide it any more. ``others``: the one
    that it asks for still, where the person who looks may not decide; then it has no buttons."""

    row: ChatRecord
    text: str
    buttons: Sequence[dict[str, Any]]
    decided: Approval | None = None
    others: Approval | None = None


def said(rows: Sequence[ChatRecord], by: Principal) -> list[Said]:
    """In the order of ``rows``, for who looks; one query for the approvals of all of them."""
    tokens = {row.pk: token for row in rows if (token := _token(row))}
    found = by_tokens(tokens.values())
    return [_one(row, found.get(tokens.get(row.pk, "")), by) for row in rows]


def _token(row: ChatRecord) -> str:
    """What the buttons of an asking carry: ``approve <token>``."""
    for button in row.buttons:
        word, _, token = str(button.get("data", "")).partition(" ")
        if word == Choice.APPROVE and token:
            return token
    return ""


def _one(row: ChatRecord, approval: Approval | None, by: Principal) -> Said:
    if approval is None:
        return Said(row, row.text, row.buttons)
    if approval.state == State.OPEN:
        if may_decide(approval, by):
            return Said(row, row.text, row.buttons)
        return Said(row, _without_words(row.text, approval.code), (), others=approval)
    return Said(row, _without_words(row.text, approval.code), (), approval)


def _without_words(text: str, code: str) -> str:
    """Without the lines at the end that say how to answer, and the one that leads to them."""
    lines = text.split("\n")
    answers = 0
    while answers < len(lines) and code in lines[-1 - answers]:
        answers += 1
    return "\n".join(lines[: -1 - answers]) if answers else text
