"""Every name that a task uses must exist under each of its triggers; found when it is saved."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from pydantic import BaseModel

from appliance.expressions import compile_template
from appliance.expressions.fields import names_in
from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.issues import Issue, suggestion, texts_of
from appliance.lib.located.problems import Path, part_at
from appliance.lib.said import say
from appliance.tasks.definition.bodies import BODY_NAMES
from appliance.tasks.definition.draft import Draft, Outline
from appliance.tasks.definition.header import MOST_VARIABLES
from appliance.tasks.definition.steps import StepCommon, StepSpec
from appliance.tasks.definition.triggers import Trigger
from appliance.tasks.definition.vocabulary import TriggerKind

ALWAYS = frozenset({"vars", "event", "task", "now"})
IN_STEPS = frozenset({"output", "outputs", "cache", "previous", "run", "error"})
_BROUGHT = {
    TriggerKind.MQTT: frozenset({"payload", "topic"}),
    TriggerKind.WEBHOOK: frozenset({"payload"}),
    TriggerKind.CHAT: frozenset({"payload"}),
}
_ELSEWHERE = {
    "item": say("only inside foreach"),
    "index": say("only inside foreach"),
    "device": say("only in actions on devices"),
}
MOST_SEARCHED = 20
"""Texts compiled again to find the place of one name; beyond them the field's own place is given."""


def _guard(name: str) -> str:
    return say("write `%(name)s | default(…)` if it may be missing", name=name)


def brought_by(trigger: Trigger) -> frozenset[str]:
    """The names that exist because this trigger started the run."""
    return _BROUGHT.get(trigger.kind, frozenset()) | frozenset(trigger.captures)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Why a name cannot be relied on. ``never``: it cannot exist here at all, so a default does not help."""

    message: str
    hint: str = ""
    never: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an expression stands: under which triggers, and after which steps."""

    triggers: tuple[Trigger, ...]
    variables: frozenset[str]
    all_triggers_known: bool = True
    in_step: bool = False
    before: tuple[Outline, ...] = ()
    every_step: tuple[Outline, ...] = ()
    on_failure: bool = False
    undo: bool = False
    inside: frozenset[str] = frozenset()
    """What the steps around this one bring, as ``item`` and ``index``."""

    def judge(self, name: str) -> _Wrong | None:
        """What is wrong with using ``name`` (``root`` or ``root.key``) here."""
        root, _, key = name.partition(".")
        if root in self.inside:
            return None
        if root in IN_STEPS and not self.in_step:
            return _Wrong(say("`%(root)s` exists in actions only", root=root), never=True)
        match root:
            case "vars":
                return self._judge_variable(key)
            case "outputs":
                return self._judge_outputs(key) if key else None
            case "output":
                return self._judge_output()
            case "error" if self.undo:
                return _Wrong(say("`error` may be missing: a person may ask for the undo"), _guard(root))
            case "error" if not self.on_failure:
                return _Wrong(say("`error` exists in on_failure only"), never=True)
            case "cache" if not key:
                return _Wrong(say("`cache` needs a fixed key"), say("as in cache.last_error"), never=True)
        if root in ALWAYS | IN_STEPS or not self.all_triggers_known:
            return None
        return self._judge_brought(root)

    def _judge_variable(self, key: str) -> _Wrong | None:
        if not key or key in self.variables:
            return None
        near = suggestion(f"vars.{key}", [f"vars.{name}" for name in self.variables])
        return _Wrong(
            say("`vars.%(key)s` is not declared", key=key),
            near or say("declare it: vars: {%(key)s: …}", key=key),
        )

    def _judge_output(self) -> _Wrong | None:
        if not self.before and not self.on_failure:
            return _Wrong(
                say("`output` is what the step before gave, and this is the first step"), never=True
            )
        if any(_surely_ran(step) for step in self.before) and not self.on_failure:
            return None
        none, all_ = say("no step may have run"), say("the steps before may all be skipped or fail")
        why = none if self.on_failure else all_
        return _Wrong(say("`output` may be missing: %(why)s", why=why), _guard("output"))

    def _judge_outputs(self, key: str) -> _Wrong | None:
        name = f"outputs.{key}"
        step = next((step for step in self.before if step.id == key), None)
        if step is None:
            known = [f"outputs.{step.id}" for step in self.before]
            if any(step.id == key for step in self.every_step):
                return _Wrong(
                    say("`%(name)s`: the step `%(key)s` does not come before this one", name=name, key=key),
                    never=True,
                )
            return _Wrong(
                say("`%(name)s`: there is no step `%(key)s`", name=name, key=key),
                suggestion(name, known),
                never=True,
            )
        if _surely_ran(step) and not self.on_failure:
            return None
        why = say("it may be skipped") if step.conditional else say("it may fail and the task go on")
        why = say("it may not have run") if self.on_failure else why
        return _Wrong(say("`%(name)s` may be missing: %(why)s", name=name, why=why), _guard(name))

    def _judge_brought(self, root: str) -> _Wrong | None:
        without = [trigger for trigger in self.triggers if root not in brought_by(trigger)]
        if not without:
            return None
        if len(without) < len(self.triggers):
            names = ", ".join(f"`{trigger}`" for trigger in without)
            return _Wrong(
                say("`%(root)s` does not exist under the trigger %(names)s", root=root, names=names),
                _guard(root),
            )
        if root in _ELSEWHERE:
            return _Wrong(
                say("`%(root)s` exists %(elsewhere)s", root=root, elsewhere=_ELSEWHERE[root]), never=True
            )
        if root in ("payload", "topic"):
            names = ", ".join(f"`{trigger}`" for trigger in without)
            return _Wrong(
                say("`%(root)s` does not exist under the trigger %(names)s", root=root, names=names),
                never=True,
            )
        return _Wrong(say("there is no `%(root)s`", root=root), suggestion(root, self._known()), never=True)

    def _known(self) -> frozenset[str]:
        hidden = frozenset[str]() if self.on_failure or self.undo else frozenset({"error"})
        brought = frozenset[str]().union(*(brought_by(trigger) for trigger in self.triggers))
        return ALWAYS | brought | self.inside | (IN_STEPS - hidden if self.in_step else frozenset())


def _surely_ran(step: Outline) -> bool:
    """Whether a later step can only be reached after this one succeeded."""
    return not step.conditional and not step.tolerated


def name_issues(draft: Draft) -> list[Issue]:
    """Every name that does not exist, or not under each trigger, where it is used."""
    declared = draft.raw.get("vars")
    if isinstance(declared, dict) and len(declared) > MOST_VARIABLES:
        return []
    variables = frozenset(declared if isinstance(declared, dict) else ())
    triggers = tuple(trigger for _, trigger in draft.triggers)
    rules = _Place(triggers, variables, draft.all_triggers_read)
    issues: list[Issue] = []
    for path, trigger in draft.triggers:
        if trigger.when is not None:
            issues += _issues(draft, (*path, "when"), trigger.when, _Place((trigger,), variables))
        if trigger.chat is not None and trigger.chat.answer is not None:
            at = (*path, "chat", "answer")
            issues += _issues(draft, at, trigger.chat.answer, _Place((trigger,), variables))
    if draft.header is not None:
        issues += _issues(draft, ("overlap",), draft.header.overlap, rules)
        issues += _issues(draft, ("gate",), draft.header.gate, rules)
    for key, steps, earlier in (
        ("actions", draft.actions, ()),
        ("on_failure", draft.on_failure, draft.actions),
    ):
        place = replace(
            rules,
            in_step=True,
            before=earlier,
            every_step=(*draft.actions, *draft.on_failure),
            on_failure=key == "on_failure",
        )
        issues += _sequence_issues(draft, (key,), steps, place)
    return issues


def _sequence_issues(draft: Draft, path: Path, steps: tuple[Outline, ...], place: _Place) -> Iterator[Issue]:
    """The issues of steps one after another, and of those inside them."""
    for index, step in enumerate(steps):
        here = replace(place, before=(*place.before, *steps[:index]))
        if step.spec is not None:
            yield from _step_issues(draft, (*path, index), step.spec, here)
            yield from _undo_issues(draft, (*path, index), step.spec, step, here)
        for below, inside in step.inside:
            brought = BODY_NAMES["foreach" if below == ("actions",) else "parallel"]
            within = replace(here, inside=here.inside | brought, every_step=(*here.every_step, *inside))
            yield from _sequence_issues(draft, (*path, index, *below), inside, within)


def _undo_issues(draft: Draft, path: Path, spec: StepSpec, step: Outline, place: _Place) -> Iterator[Issue]:
    """What undoes a step sees what that step saw, and its output for sure: only what took effect is undone."""
    sure = replace(step, conditional=False, tolerated=False)
    place = replace(place, before=(*place.before, sure), undo=True)
    listed = isinstance(part_at(draft.raw, (*path, "undo")), list)
    for index, undo in enumerate(spec.undo):
        at = (*path, "undo", index) if listed else (*path, "undo")
        yield from _step_issues(draft, at, undo, place)


def _step_issues(draft: Draft, path: Path, step: StepSpec, place: _Place) -> Iterator[Issue]:
    holders: list[tuple[BaseModel, Iterable[str]]] = [
        (step, StepCommon.model_fields.keys() - {"undo"}),
        (step.params, type(step.params).model_fields),
    ]
    for holder, names in holders:
        for name in names:
            alias = type(holder).model_fields[name].alias or name
            yield from _issues(draft, (*path, alias), getattr(holder, name), place)


def _issues(draft: Draft, path: Path, value: object, place: _Place) -> Iterator[Issue]:
    needed, guarded = names_in(value)
    for name in sorted(needed | guarded):
        wrong = place.judge(name)
        if wrong is None or (name not in needed and not wrong.never):
            continue
        where, offset = _find(draft.raw, path, name)
        yield Issue(where, wrong.message, hint=wrong.hint, offset=offset)


def _find(raw: JsonValue, path: Path, name: str) -> tuple[Path, int | None]:
    """The text in which ``name`` is used first, and where in it."""
    value = part_at(raw, path)
    root = re.compile(rf"(?<![\w.]){re.escape(name.partition('.')[0])}(?!\w)")
    mentioned = ((inner, text) for inner, text in texts_of(value) if root.search(text))
    for inner, text in islice(mentioned, MOST_SEARCHED):
        template = compile_template(text, blocks=True)
        if name in template.names | template.guarded:
            return (*path, *inner), template.offset_of(name)
    return path, None
