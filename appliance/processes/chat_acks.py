"""``ack`` in a chat: somebody takes on what nobody has answered yet."""

import re

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.bridges.ports import ChatCommand, ChatSender
from appliance.escalations import services
from appliance.escalations.domain import LETTERS, Way
from appliance.escalations.models import Escalation
from appliance.processes.chat_buttons import Speaker

_CODE = re.compile(rf"[\s,:，：]*([{LETTERS}]{{6}})(?![A-Z0-9])", re.IGNORECASE)
LISTED = 10


def acknowledge(command: ChatCommand, sender: ChatSender, person: Speaker, origin: str) -> str:
    """``ack K7Q2MX``; without a code what this conversation was told of, where that is one thing.

    ``origin`` is ``chat``, or empty for a program.
    """
    code = _CODE.match(command.argument)
    if code is None and not person.can_somewhere(Ability.RUN_TASKS):
        person.principal.require(Ability.RUN_TASKS)
    ref = code[1] if code else ""
    if not ref:
        here = [row for row in services.here(sender.platform, sender.conversation) if _may(row, person)]
        if not here:
            return gettext("Nothing here waits to be acknowledged.")
        if len(here) > 1:
            return _which(here)
        ref = str(here[0].pk)
    row = services.acknowledge(
        ref, person.principal, command.received_at, Way(origin or Way.API), key=command.key
    )
    return gettext("You have acknowledged: %(what)s") % {"what": row.title}


def _may(row: Escalation, person: Speaker) -> bool:
    return services.may_answer(row, person.principal)


def _which(rows: list[Escalation]) -> str:
    lines = [f"ack {row.code} - {row.title}" for row in rows[:LISTED]]
    if len(rows) > LISTED:
        lines.append(gettext("and %(count)d more") % {"count": len(rows) - LISTED})
    return "\n".join([gettext("Which one? Write one of:"), *lines])
