"""People hear of a proposal where they hear of approvals: those who may change that task."""

from django.utils.translation import gettext, override

from appliance.accounts.domain import NEEDED, Ability, Role
from appliance.agent.models import AgentProposal
from appliance.bridges.audience import chats_of
from appliance.lib.config import get_config
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now

PRIORITY = 10


def tell(row: AgentProposal) -> None:
    """One message for each chat, in the current transaction of Django's connection. No word of it is the model's."""
    roles = [role.value for role in Role if role.covers(NEEDED[Ability.EDIT_TASKS])]
    for platform, conversation, language in chats_of(roles, row.task):
        enqueue_now(
            OutboxItem(
                key=f"proposal/{row.pk}/{platform}/{conversation}",
                platform=platform,
                conversation=conversation or None,
                message={"text": _text(row, language)},
                at=row.created_at,
                priority=PRIORITY,
                about=f"proposal/{row.task}",
            )
        )


def _text(row: AgentProposal, language: str) -> str:
    with override(language):
        said = (
            gettext(
                "An agent (task %(by)s) proposes a change of the task %(task)s. Look at it, and take it over or not:"
            )
            if row.base
            else gettext(
                "An agent (task %(by)s) proposes a new task, %(task)s. Look at it, and take it over or not:"
            )
        ) % {"by": row.by_task, "task": row.task}
    return f"{said}\n{get_config().public_url.rstrip('/')}/proposals/{row.pk}/"
