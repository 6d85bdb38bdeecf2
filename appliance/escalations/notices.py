"""What people read of an escalation: the question under a first message, the later stages, and the end."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.translation import gettext, override

from appliance.bridges.settling import asked
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonObject

VERB = "ack"


def asking(message: JsonObject, code: str, language: str = "en") -> JsonObject:
    """The same message, which wants to be acknowledged: how in words, and a button."""
    text = str(message.get("text") or "")
    with override(language):
        how = gettext("To acknowledge, write: ack %(code)s") % {"code": code}
        label = gettext("Acknowledge")
    return {
        **message,
        "text": f"{text}\n{how}",
        "buttons": [{"label": label, "data": f"{VERB} {code}"}],
        "asks": asked(text, language),
    }


def stage_message(row: Mapping[str, Any], language: str) -> JsonObject:
    """For those who are told at a later stage: why it is they now, and what it is about."""
    waited = format_duration(timedelta(seconds=float(row["waited"])))
    with override(language):
        why = gettext("Nobody has acknowledged this for %(waited)s:") % {"waited": waited}
    return asking({"text": f"{why}\n{row['text']}"}, row["code"], language)


def acknowledged(who: str, at: datetime) -> str:
    """In the active language."""
    return gettext("Acknowledged by %(who)s, %(at)s UTC") % {"who": who, "at": _time(at)}


def withdrawn(who: str, at: datetime) -> str:
    """In the active language."""
    return gettext("Withdrawn by %(who)s, %(at)s UTC: nobody has to answer any more") % {
        "who": who,
        "at": _time(at),
    }


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%m-%d %H:%M}"
