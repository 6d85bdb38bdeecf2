"""What a chat is told of the box: answers to questions that change nothing, for what the person may see."""

from collections.abc import Mapping
from datetime import datetime

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.bridges.services import platforms
from appliance.bus.models import TopicValue
from appliance.devices.services import list_devices, presences
from appliance.inference.models import ModelChange, ServedModel
from appliance.processes.chat_buttons import Speaker
from appliance.safety import allstop
from appliance.safety.approvals.services import may_decide, open_ones

SHOWN = 20
LONGEST_VALUE = 300


def answer(intent: str, slots: Mapping[str, str], person: Speaker, now: datetime) -> str | None:
    """None for what is no question of these. Raises NotAllowed."""
    match intent:
        case "approvals.list":
            return _approvals(person, now)
        case "stop.state":
            return _stop(person)
        case "topic.state":
            return _topic(slots["topic"], person, now)
        case "platforms.list":
            return _platforms(person)
        case "devices.list":
            names = list_devices().values_list("name", flat=True)
            return _devices([one for one in names if person.principal.can(Ability.VIEW, device=one)])
        case "device.state":
            person.principal.require(Ability.VIEW, device=slots["device"])
            return _devices([slots["device"]])
        case "models.list":
            return _models(person)
    return None


def _approvals(person: Speaker, now: datetime) -> str:
    rows = [row for row in open_ones(now) if may_decide(row, person.principal)]
    lines = [f"{row.code}  {row.task}, {row.step}" for row in rows[:SHOWN]]
    return _listed(lines) or gettext("Nothing waits for your approval.")


def _stop(person: Speaker) -> str:
    person.principal.require(Ability.VIEW)
    stop = allstop.current()
    if stop.level is allstop.Level.NONE:
        return gettext("The all-stop is off.")
    return gettext("ALL-STOP is on (%(level)s): %(reason)s") % {
        "level": stop.level.value,
        "reason": stop.reason,
    }


def _topic(topic: str, person: Speaker, now: datetime) -> str:
    person.principal.require(Ability.VIEW, topic=topic)
    row = TopicValue.objects.filter(pk=topic).first()
    if row is None:
        return gettext("Nothing has come on %(topic)s yet.") % {"topic": topic}
    value = row.value if row.value is not None else bytes(row.payload).decode(errors="replace")
    return gettext("%(topic)s is %(value)s (%(seconds)d s old, %(quality)s)") % {
        "topic": topic,
        "value": str(value)[:LONGEST_VALUE],
        "seconds": max(0, int((now - row.at).total_seconds())),
        "quality": row.quality,
    }


def _platforms(person: Speaker) -> str:
    person.principal.require(Ability.VIEW)
    views = [view for view in platforms() if view.enabled]
    return _listed([f"{view.name}: {view.state.value} {view.message}".rstrip() for view in views])


def _devices(names: list[str]) -> str:
    known = presences(names)
    lines = [f"{name}: {known[name].state if name in known else 'unknown'}" for name in names]
    return _listed(lines) or gettext("There are no devices yet.")


def _models(person: Speaker) -> str:
    person.principal.require(Ability.VIEW)
    lines = []
    for name, version in (
        ServedModel.objects.filter(enabled=True).order_by("name").values_list("name", "version")
    ):
        last = ModelChange.objects.filter(model=name).order_by("-id").values_list("state", flat=True).first()
        lines.append(f"{name} {version}: {last or 'absent'}")
    return _listed(lines) or gettext("No model is served here yet.")


def _listed(lines: list[str]) -> str:
    more = len(lines) - SHOWN
    return "\n".join(lines[:SHOWN] + ([gettext("and %(count)d more") % {"count": more}] if more > 0 else []))
