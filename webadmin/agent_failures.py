"""Why an agent ended without an answer, or does not get on: once, as people read it, with what to do about it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from appliance.agent.explaining.domain import AgentView
from webadmin.sentences import kept

_STEP = re.compile(r"step [\w.-]+: ")
_BY = re.compile(r"cancelled by (?:user:)?(.+)")


@dataclass(frozen=True, slots=True)
class Failure:
    """``what`` and ``why`` are sentences; ``advice`` says what to do. ``models``: the page of the models helps.
    ``details`` are the texts of the engine, each once."""

    what: str
    why: str = ""
    advice: str = ""
    models: bool = False
    tone: str = "error"
    details: tuple[str, ...] = ()


def failure_of(view: AgentView) -> Failure | None:
    """None where nothing is wrong, or where only taking it back went wrong: that is said at its calls."""
    if view.undo_asked or (view.ended and view.state == "succeeded"):
        return None
    texts = tuple(dict.fromkeys(_STEP.sub("", text, count=1) for text in _texts(view) if text))
    if not texts:
        return None
    if view.state == "cancelled":
        return _cancelled(texts)
    found = next((one for text in texts if (one := _known(text)) is not None), None)
    if found is None:
        found = Failure(_("It failed."), kept(texts[0]))
    tone = "error" if view.ended else "warning"
    shown = (found.why, kept(found.why), found.what)
    details = tuple(text for text in texts if text not in shown)
    return Failure(found.what, found.why, found.advice, found.models, tone, details)


def _texts(view: AgentView) -> Iterator[str]:
    """What the engine has written down of it; of turns that came to something in the end only the page says it."""
    if view.ended:
        yield view.reason
    last = view.turns[-1] if view.turns else None
    if last is not None and last.state in ("failed", "waiting"):
        yield from reversed(last.failures)
    if view.state == "waiting" and view.waiting_for in ("network", "retry"):
        yield view.reason
    if view.answer is not None:
        yield view.answer.error


def _cancelled(texts: tuple[str, ...]) -> Failure:
    by = next((found[1] for text in texts if (found := _BY.fullmatch(text)) is not None), "")
    what = _("It was cancelled by %(who)s.") % {"who": by} if by else _("It was cancelled.")
    return Failure(what, tone="info")


def _known(text: str) -> Failure | None:
    for pattern, made in _KINDS:
        found = pattern.search(text)
        if found is not None:
            return made(found, text)
    return None


def _no_such_model(found: re.Match[str], text: str) -> Failure:
    return Failure(
        _("The model “%(model)s” is not served on this box.") % {"model": found[1]},
        advice=_("Serve it, or let the task name another one; then go on from this step."),
        models=True,
    )


def _no_model(found: re.Match[str], text: str) -> Failure:
    return Failure(
        _("No model could answer."),
        kept(text),
        _("Look which models are served and loaded. When one is, go on from this step."),
        models=True,
    )


def _keeper_away(found: re.Match[str], text: str) -> Failure:
    return Failure(
        _("The service that keeps the models is away."),
        advice=_("What waits for it goes on by itself when it is back."),
        models=True,
    )


def _no_progress(found: re.Match[str], text: str) -> Failure:
    turns = int(found[1])
    what = ngettext(
        "It did not get on: in %(turns)d turn it called nothing that the box could do.",
        "It did not get on: in %(turns)d turns it called nothing that the box could do.",
        turns,
    ) % {"turns": turns}
    return Failure(what, kept(found[2]), _("Say more exactly what is wanted, or let a larger model do it."))


def _budget(found: re.Match[str], text: str) -> Failure:
    return Failure(
        _("Its budget (%(budget)s) was used up before it had an answer.") % {"budget": found[1]},
        advice=_("Give the step a larger budget, or ask for less at once."),
    )


def _unattended(found: re.Match[str], text: str) -> Failure:
    return Failure(
        _("What it wanted was not allowed, and the task has nobody who could be asked."),
        kept(found[1]),
        _("Let the policy allow it, or give the task somebody who attends."),
    )


_KINDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], str], Failure]], ...] = (
    (re.compile(r"the model '?([^']+?)'? is not served on this box"), _no_such_model),
    (re.compile(r"the keeper of models (?:does not|went away)"), _keeper_away),
    (
        re.compile(r"no model c(?:an answer this|ould answer in time)|nothing is served for this work"),
        _no_model,
    ),
    (re.compile(r"made no progress in (\d+) turns: (.*)", re.DOTALL), _no_progress),
    (re.compile(r"budget of (.+?) is used up"), _budget),
    (re.compile(r"denied, and nobody is there to ask: (.*)", re.DOTALL), _unattended),
)
