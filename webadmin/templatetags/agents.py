"""Tags and filters of how an agent is shown."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from appliance.agent.domain import Mode
from appliance.agent.explaining.domain import CallView, Undo
from appliance.agent.loop.story import Fate
from webadmin.agent_words import ASKED, FATES, MODES, RUNNING, UNDOS
from webadmin.words import Word

register = template.Library()


def _badge(word: Word) -> SafeString:
    return format_html('<span class="badge {}">{}</span>', word.tone, word.text)


@register.simple_tag
def fate(call: CallView) -> SafeString:
    """What became of a call, by colour and word."""
    if call.waits:
        return _badge(ASKED)
    begun = call.state in ("intent", "running", "waiting")
    return _badge(RUNNING if call.fate is Fate.UNDER_WAY and begun else FATES[call.fate])


@register.simple_tag
def fate_named(name: str) -> SafeString:
    """The same of a call that a list has by the word for what became of it."""
    try:
        return _badge(FATES[Fate(name)])
    except ValueError:
        return _badge(Word(name, "off"))


@register.simple_tag
def undone(undo: Undo) -> SafeString | str:
    return _badge(UNDOS[undo]) if undo in UNDOS else ""


@register.filter
def mode_said(mode: Mode) -> str:
    return str(MODES[mode][0])


@register.filter
def mode_sentence(mode: Mode) -> str:
    return str(MODES[mode][1])


@register.filter
def decided(gate: str) -> bool:
    """Whether a rule of the policy let it pass, and no person's word."""
    return bool(gate) and not gate.startswith("approval.")


@register.filter
def grouped(number: float) -> str:
    """A whole number in groups of three digits."""
    return f"{number:,.0f}".replace(",", "\u202f")
