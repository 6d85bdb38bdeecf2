"""Muting in a chat: a task or an alert rule, here, for a while; what is muted, and ending it."""

import difflib
import re
from datetime import UTC, datetime, timedelta

from django.utils.translation import gettext, ngettext

from appliance.accounts.domain import Ability
from appliance.alerts.services import rules_in_force
from appliance.bridges import mutes
from appliance.bridges.errors import MuteRefused
from appliance.bridges.ports import ChatCommand, ChatSender
from appliance.bridges.registry import bridges
from appliance.lib.duration import DurationError, parse_duration
from appliance.processes.chat_buttons import Speaker
from appliance.tasks.models import Task

_KINDS = ("task", "alert")
_CHINESE = re.compile(r"([0-9]+)\s*(分钟|小时|天)")
_UNITS = {"分钟": "m", "小时": "h", "天": "d"}


def mute(command: ChatCommand, sender: ChatSender, person: Speaker) -> str:
    """``mute``, ``mute pump``, ``mute 2h``, ``mute pump for 2h``. Raises MillwrightError where it was not done."""
    factory = bridges().get(sender.platform)
    if factory and factory.programs:
        raise MuteRefused(gettext("Nothing is muted for a program."))
    if not person.can_somewhere(Ability.RUN_TASKS):
        person.principal.require(Ability.RUN_TASKS)
    what, length = _read(command.argument)
    length = mutes.USUAL if length is None else length
    if not mutes.SHORTEST <= length <= mutes.LONGEST:
        raise MuteRefused(gettext("A mute lasts between one minute and seven days."))
    abouts = _abouts(what, person) if what else [_last(sender, command.received_at)]
    until = command.received_at + length
    for about in abouts:
        mutes.set_mute(
            sender.platform, sender.conversation, about, until, person.principal, command.received_at
        )
    said = gettext(
        "Muted here until %(until)s: %(what)s. What is critical still comes; the rest is told when it ends, "
        "or after: unmute"
    )
    return said % {"until": _at(until), "what": ", ".join(abouts)}


def unmute(command: ChatCommand, sender: ChatSender, person: Speaker) -> str:
    """``unmute pump``; without a name all that is muted here."""
    what = command.argument.strip()
    here = [one.about for one in mutes.mutes(command.received_at, sender.platform, sender.conversation)]
    meant = [about for about in here if not what or _names(about, what)]
    if not meant:
        if what and here:
            raise MuteRefused(
                gettext("That is not muted here. Muted here: %(names)s") % {"names": ", ".join(here)}
            )
        return gettext("Nothing is muted here.")
    held = 0
    for about in meant:
        ended = mutes.end_mutes(sender.platform, sender.conversation, about, person.principal)
        held += sum(ended.values())
    said = gettext("Not muted any more: %(what)s.") % {"what": ", ".join(meant)}
    return f"{said} {_held(held)}"


def listed(command: ChatCommand, sender: ChatSender, person: Speaker) -> str:
    """What is muted in this conversation, until when, by whom, and how much it held back."""
    person.principal.require(Ability.VIEW)
    lines = [
        gettext("%(what)s until %(until)s, by %(who)s.")
        % {"what": one.about, "until": _at(one.until), "who": one.who}
        + f" {_held(one.held)}"
        for one in mutes.mutes(command.received_at, sender.platform, sender.conversation)
    ]
    return "\n".join(lines) or gettext("Nothing is muted here.")


def _held(count: int) -> str:
    return ngettext("%(count)d message was held.", "%(count)d messages were held.", count) % {"count": count}


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%m-%d %H:%M} UTC"


def _read(argument: str) -> tuple[str, timedelta | None]:
    """What, and for how long: the words at the end that are a duration, with or without ``for``."""
    text = _CHINESE.sub(lambda found: f" {found[1]}{_UNITS[found[2]]} ", argument)
    words = text.split()
    for count in (1, 2):  # "2h", "2 h"
        if len(words) < count:
            break
        try:
            length = parse_duration(" ".join(words[-count:]))
        except DurationError:
            continue
        rest = words[:-count]
        if rest and rest[-1].lower() == "for":
            rest.pop()
        return " ".join(rest), length
    return " ".join(words), None


def _last(sender: ChatSender, now: datetime) -> str:
    about = mutes.last_about(sender.platform, sender.conversation, now)
    if not about:
        raise MuteRefused(gettext("Mute what? Write mute and the name of a task or of an alert rule."))
    return about


def _abouts(what: str, person: Speaker) -> list[str]:
    """What messages of this name are about: a task's, an alert rule's, or one step's (``pump/tell``)."""
    kind, _, rest = what.partition("/")
    wanted, kinds = (rest, (kind,)) if kind in _KINDS and rest else (what, _KINDS)
    known = {"task": _tasks(person), "alert": [rule.id for rule in rules_in_force().file.rules]}
    found = [f"{kind}/{wanted}" for kind in kinds if wanted.partition("/")[0] in known[kind]]
    if found:
        return found
    every = [name for kind in kinds for name in known[kind]]
    near = difflib.get_close_matches(wanted.partition("/")[0], every, n=1)
    raise MuteRefused(
        gettext("There is no task and no alert rule %(name)s. Did you mean %(near)s?")
        % {"name": wanted[:100], "near": near[0]}
        if near
        else gettext("There is no task and no alert rule %(name)s.") % {"name": wanted[:100]}
    )


def _tasks(person: Speaker) -> list[str]:
    names = Task.objects.values_list("name", flat=True)
    return [name for name in names if person.principal.can(Ability.RUN_TASKS, task=name)]


def _names(about: str, what: str) -> bool:
    """Whether somebody means this by ``pump``, ``task/pump`` or ``pump/tell``."""
    return what in (about, about.partition("/")[2])
