"""Messages of the box's own chats as pages show them: where one asks for a decision that has been made, the decision
stands in the place of the words that would make it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.bridges.models import ChatRecord
from appliance.safety.approvals.domain import Choice, State
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import by_tokens


@dataclass(frozen=True, slots=True)
class Said:
    """A message. ``decided``: the approval that it asked for, where nobody can decide it any more."""

    row: ChatRecord
    text: str
    buttons: Sequence[dict[str, Any]]
    decided: Approval | None = None


def said(rows: Sequence[ChatRecord]) -> list[Said]:
    """In the order of ``rows``; one query for the approvals of all of them."""
    tokens = {row.pk: token for row in rows if (token := _token(row))}
    found = by_tokens(tokens.values())
    return [_one(row, found.get(tokens.get(row.pk, ""))) for row in rows]


def _token(row: ChatRecord) -> str:
    """What the buttons of an asking carry: ``approve <token>``."""
    for button in row.buttons:
        word, _, token = str(button.get("data", "")).partition(" ")
        if word == Choice.APPROVE and token:
            return token
    return ""


def _one(row: ChatRecord, approval: Approval | None) -> Said:
    if approval is None or approval.state == State.OPEN:
        return Said(row, row.text, row.buttons)
    return Said(row, _without_words(row.text, approval.code), (), approval)


def _without_words(text: str, code: str) -> str:
    """Without the lines at the end that say how to answer, and the one that leads to them."""
    lines = text.split("\n")
    answers = 0
    while answers < len(lines) and code in lines[-1 - answers]:
        answers += 1
    return "\n".join(lines[: -1 - answers]) if answers else text
