"""Tags and filters of how an agent is shown."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from appliance.agent.domain import Mode
from appliance.agent.explaining.changed import changed_in
from appliance.agent.explaining.domain import AgentView, AnswerView, CallView, Stays, Undo
from appliance.agent.loop.story import Fate
from appliance.agent.spelling import spelled as plain
from appliance.agent.spelling import whole
from appliance.runs.models import Step
from webadmin.agent_words import ASKED, FATES, LEFT, MODES, RUNNING, STAYS, UNDOS
from webadmin.outcomes import outcome_of
from webadmin.pages.agents import AgentPart
from webadmin.words import Word, word

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
def undone(undo: Undo, denied: object = None) -> SafeString | str:
    """``denied``: a person did not want it taken back."""
    if denied and undo is Undo.FAILED:
        return _badge(LEFT)
    return _badge(UNDOS[undo]) if undo in UNDOS else ""


@register.simple_tag
def undone_named(name: str, denied: object = None) -> SafeString | str:
    """The same of a call that a list has by the word for it."""
    return undone(Undo(name), denied) if name in set(Undo) else ""


@register.simple_tag
def agent_badge(agent: AgentView) -> SafeString:
    """What its work came to: also where it has ended well, and nothing of what it wanted was done."""
    waiting_for = "" if agent.ended else agent.waiting_for
    known, detail = _came_to(agent), f": {word(waiting_for).text}" if waiting_for else ""
    return format_html('<span class="badge {}">{}{}</span>', known.tone, known.text, detail)


def _came_to(agent: AgentView) -> Word:
    found = outcome_of([agent.answer]) if agent.answer and agent.work_state == "succeeded" else ""
    return word(found or agent.work_state)


@register.simple_tag
def step_badge(step: Step, agents: Iterable[AgentPart]) -> SafeString:
    """The step of an agent that has ended says what that came to, as its card does."""
    own = _ended_of(step, agents)
    return _badge(_came_to(own) if own else word(step.state))


@register.simple_tag
def step_tone(step: Step, agents: Iterable[AgentPart]) -> str:
    own = _ended_of(step, agents)
    return (_came_to(own) if own else word(step.state)).tone


def _ended_of(step: Step, agents: Iterable[AgentPart]) -> AgentView | None:
    """Only of the very attempt, and where that has ended: until then the step's own word is the newer one."""
    here = (step.run_id, step.step, step.attempt)
    views = (one.view for one in agents or ())
    return next((one for one in views if one.ended and (one.task_run, one.step, one.attempt) == here), None)


@register.filter
def spelled(arguments: Mapping[str, Any]) -> str:
    """The arguments of a call as people read them."""
    return plain(arguments)


@register.filter
def spelled_whole(call: Mapping[str, Any]) -> str:
    """The same with what its author has fixed."""
    return plain(whole(call))


@register.filter
def stays_said(stays: Stays) -> str:
    return str(STAYS[stays])


@register.filter
def changed(answer: AnswerView) -> str:
    """What was changed, by the box's own rows."""
    return changed_in(answer.read_back)


@register.filter
def once(texts: Iterable[str]) -> list[str]:
    """Each of them a single time."""
    return list(dict.fromkeys(texts))


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
