"""Tags and filters of the product's own screens."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput
from django.utils.formats import date_format
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from appliance.accounts.domain import Ability
from appliance.accounts.principal import BOX, CONSOLE
from appliance.bridges.liveness import Liveness, deaf
from appliance.bridges.services import PlatformView
from appliance.escalations import services as escalations
from appliance.lib.config import Durability
from appliance.ops.services import count_serious
from appliance.processes.signs import BROKER_PART
from appliance.runs.models import Run
from appliance.safety.allstop import AllStop, current
from appliance.safety.approvals.framing import shown_said
from appliance.safety.approvals.services import count_open
from appliance.tasks.models import TaskTrigger
from webadmin import sentences
from webadmin.words import (
    ABILITIES,
    COMMANDS,
    DURABILITY,
    KINDS,
    PARTS,
    PRIORITIES,
    SEVERITIES,
    STAGES,
    word,
)

register = template.Library()

# The first that fits: later ones stand in the text of earlier ones as well.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)

_MUTED = re.compile(r"muted by (.+) until (.+)")
_QUIET = re.compile(r"quiet hours until (.+)")
_BY_A_PERSON = re.compile(r"\b(cancelled|denied|dropped) by user:")
_TICKED = re.compile(r"`+([^`]+)`+")

LONGEST_TEXT = 20_000
"""Characters of one value on a page; the rest is in the API."""


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of ``parts/icons.html``; always beside a word, so it says nothing to a screen reader."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"></use></svg>', name)


@register.simple_tag
def badge(state: Any, detail: Any = "") -> SafeString:
    """A state by colour and word; ``detail`` is what it waits for."""
    known = word(state)
    if detail:
        return format_html('<span class="badge {}">{}: {}</span>', known.tone, known.text, word(detail).text)
    return format_html('<span class="badge {}">{}</span>', known.tone, known.text)


@register.filter
def said(value: Any) -> Any:
    """The word of a state without its badge."""
    return word(value).text


@register.filter
def command_said(value: str) -> Any:
    """What a command of this class does."""
    return COMMANDS[value].text if value in COMMANDS else value


@register.filter
def priority_said(value: str) -> Any:
    return PRIORITIES.get(value, value)


@register.filter
def stage_said(value: str) -> Any:
    """What an import is at."""
    return STAGES.get(value, value)


@register.filter
def tone(value: Any) -> str:
    return word(value).tone


@register.filter
def part_name(value: str) -> Any:
    if value.startswith(BROKER_PART):
        return _("Broker %(name)s") % {"name": value.removeprefix(BROKER_PART)}
    return PARTS.get(value, value)


@register.filter
def durability_sentence(value: Durability) -> Any:
    return DURABILITY[value]


@register.simple_tag
def when(at: datetime | None, empty: str = "") -> SafeString | str:
    """A time: UTC without JavaScript, the reader's own clock and "how long ago" with it."""
    if at is None:
        return empty
    at = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-when>{} {} UTC</time>',
        at.isoformat(),
        date_format(at, "Y-m-d"),
        f"{at:%H:%M:%S}",
    )


@register.filter
def to_come(at: datetime | None) -> bool:
    """Whether it lies ahead. What is overdue waits for its target, and a time that has gone says nothing of that."""
    return at is not None and at > datetime.now(UTC)


@register.filter
def named_in(name: str, these: Iterable[Liveness]) -> bool:
    return any(one.name == name for one in these)


@register.filter
def held_said(reason: str) -> str:
    """Why a message is held and until when, in the reader's language."""
    if found := _MUTED.fullmatch(reason):
        return _("muted by %(who)s until %(end)s") % {"who": found[1], "end": found[2]}
    if found := _QUIET.fullmatch(reason):
        return _("quiet hours until %(end)s") % {"end": found[1]}
    return reason


@register.simple_tag
def quiet_until(platform: PlatformView) -> datetime | None:
    """When the quiet hours end in which it is now."""
    return platform.quiet_until(datetime.now(UTC))


@register.filter
def took(start: datetime | None, end: datetime | None) -> str:
    """How long something took, in the unit that reads best."""
    return span((end - start).total_seconds()) if start and end else ""


@register.filter(name="seconds")
def span(seconds: float) -> str:
    """``0.012`` as ``12 ms``, ``75`` as ``1 min 15 s``."""
    if seconds < 0:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = timedelta(seconds=round(seconds))
    minutes, rest = divmod(int(whole.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@register.filter
def shown(value: Any) -> str:
    """A JSON value as people read it: text as it is, the rest indented."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > LONGEST_TEXT:
        cut = len(text) - LONGEST_TEXT
        return f"{text[:LONGEST_TEXT]}\n{_('… and %(count)d more characters') % {'count': cut}}"
    return text


@register.filter
def one_line(value: Any) -> str:
    """A JSON value on one line of a table."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())[:200]


@register.filter
def item_of(shard: Run) -> str:
    """What a shard is about: its item, or the name of its branch."""
    if "item" in shard.inputs:
        return one_line(shard.inputs["item"])
    own = shard.inputs.get("shard")
    return str(own.get("branch", "")) if isinstance(own, dict) else ""


@register.filter
def listens_to(trigger: TaskTrigger) -> str:
    """What starts a trigger, in its own words: a cron line, a topic, a name."""
    own = trigger.spec.get(trigger.kind)
    if isinstance(own, dict):
        own = own.get("topic") or own.get("name") or own
    where = trigger.spec.get("timezone")
    text = one_line("" if own is None else own)
    return f"{text} ({where})" if where else text


@register.filter
def is_check(field: BoundField) -> bool:
    """Whether the label stands after the control."""
    return isinstance(field.field.widget, CheckboxInput)


@register.filter
def can(user: Any, ability: str) -> bool:
    """Whether the person may do it; nobody who is not signed in may do anything."""
    return bool(user.is_authenticated and user.can(Ability(ability)))


@register.simple_tag
def may_on(user: Any, ability: str, task: str) -> bool:
    """Whether the person may do it to this task."""
    return bool(user.is_authenticated and user.principal.can(Ability(ability), task=task))


@register.filter
def ability(value: str) -> Any:
    """What a token may do, in words; one that is not known any more as it is."""
    return ABILITIES.get(value, value)


@register.filter
def browser_name(agent: str) -> str:
    """A browser and system that people know from what it says of itself, else the beginning of that."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    found = ", ".join(part for part in (browser, system) if part)
    return found or agent[:60] or _("unknown program")


@register.filter
def short(value: Any) -> str:
    """The end of an identifier: its beginning is only its time."""
    return str(value)[-8:]


@register.filter
def of(values: dict[str, str], key: str) -> str:
    """The value of a key that may be missing."""
    return values.get(key, "")


@register.filter
def actor(value: str) -> str:
    """A principal in words: ``user:ana`` as ``ana``, and those that are no person as what they are."""
    if value == CONSOLE.name:
        return _("the console")
    return _("the box itself") if value == BOX.name else value.removeprefix("user:")


@register.filter
def kind_sentence(value: str) -> Any:
    """What an action of this kind does, in words."""
    return KINDS.get(value, value)


@register.simple_tag
def open_approvals() -> int:
    """How many approvals wait for somebody, for the navigation."""
    return count_open(datetime.now(UTC))


@register.simple_tag(takes_context=True)
def open_escalations(context: template.Context) -> int:
    """What nobody has acknowledged, for the navigation. A page that has counted it says so as ``unanswered_count``."""
    counted = context.get("unanswered_count")
    return sum(escalations.counts().values()) if counted is None else int(counted)


@register.filter
def in_language(text: str) -> str:
    """A sentence that another layer made, in the reader's language."""
    return sentences.in_language(text)


@register.filter
def kept(text: str | None) -> str:
    """A sentence that was kept as text, such as why a message waits, in the reader's language."""
    return sentences.kept(_BY_A_PERSON.sub(r"\1 by ", text or ""))


@register.filter
def asked_about(shown: str) -> str:
    """What an approver is shown, with the box's own words in the reader's language."""
    return shown_said(shown)


@register.filter
def ticked(value: Any) -> SafeString:
    """A sentence of ours in which words between backticks are code."""
    # Escaped before anything is added to it.
    return mark_safe(_TICKED.sub(r"<code>\1</code>", str(conditional_escape(value))))  # noqa: S308


@register.simple_tag
def serious_findings() -> int:
    """How many serious findings of the doctor stand, for the navigation and the overview."""
    return count_serious()


@register.simple_tag(takes_context=True)
def deaf_platforms(context: template.Context) -> list[Liveness]:
    """The chat platforms that do not hear, for the banner of every page. One that has looked gives ``liveness``."""
    found = context.get("liveness")
    return deaf(datetime.now(UTC)) if found is None else [one for one in found if one.is_deaf]


@register.simple_tag
def severity(value: str) -> SafeString:
    """How much a finding weighs, by colour and word."""
    known = SEVERITIES[value]
    return format_html('<span class="badge {}">{}</span>', known.tone, known.text)


@register.simple_tag
def all_stop() -> AllStop:
    """The switch as it stands, for the banner."""
    return current()


@dataclass(frozen=True, slots=True)
class DecidedBy:
    """What the gate decided a step by; without a layer it was not the policy."""

    rule: str
    layer: str = ""
    version: int = 0


@register.filter
def decided_by(detail: Any) -> DecidedBy | None:
    """From a step's details: ``layer/rule@version``, or the name of another part of the gate."""
    said = detail.get("gate") if isinstance(detail, dict) else None
    if not isinstance(said, str) or not said:
        return None
    name, _at, number = said.rpartition("@")
    layer, slash, rule = name.partition("/")
    if not slash or not number.isdecimal():
        return DecidedBy(said)
    return DecidedBy(rule, layer, int(number))


@register.filter
def without_gate(detail: Any) -> Any:
    """A step's details without what the page says in words."""
    return (
        {key: value for key, value in detail.items() if key not in ("gate", "observed")}
        if isinstance(detail, dict)
        else detail
    )
