"""From the JSON value of one task to its parts, collecting everything that is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from re import fullmatch
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from appliance.actions.contract import Kind, SplitKind
from appliance.actions.registry import registry, written_kinds
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.issues import Issue, issues_of, suggestion_or_list
from appliance.lib.located.problems import Path
from appliance.lib.said import say
from appliance.tasks.definition import vocabulary as words
from appliance.tasks.definition.base import IDENTIFIER, PATTERNS
from appliance.tasks.definition.bodies import (
    BODY_KEYS,
    DEEPEST,
    MOST_BRANCHES,
    NOT_AROUND_BODIES,
    Body,
)
from appliance.tasks.definition.draft import Draft, Outline
from appliance.tasks.definition.header import TaskHeader
from appliance.tasks.definition.steps import COMMON_KEYS, StepCommon, StepSpec
from appliance.tasks.definition.triggers import Trigger, long_form
from appliance.tasks.definition.vocabulary import OnError

MOST_STEPS = 200
MOST_TRIGGERS = 50
MOST_UNDO = 20

_Inside = tuple[tuple[Path, tuple[Outline, ...]], ...]
_NOTHING_INSIDE: _Inside = ()
_LIST_KEYS = frozenset({"trigger", "triggers", "actions", "on_failure"})
_EXIT_STATUS_KINDS = frozenset({"shell", "container"})


@dataclass(slots=True)
class _Builder:
    raw: JsonObject
    issues: list[Issue] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    depth: int = 0
    kinds: dict[str, Kind] = field(default_factory=written_kinds)

    def add(self, path: Path, message: str, **more: Any) -> None:
        self.issues.append(Issue(path, message, **more))

    def header(self) -> TaskHeader | None:
        rest = {key: value for key, value in self.raw.items() if key not in _LIST_KEYS}
        for key in words.LATER_TASK_KEYS & rest.keys():
            self.add((key,), say("`%(key)s` %(not_yet)s", key=key, not_yet=words.NOT_YET), at_key=True)
        for key, value in words.LATER_VALUES:
            if rest.get(key) == value:
                self.add(
                    (key,),
                    say("`%(key)s: %(value)s` %(not_yet)s", key=key, value=value, not_yet=words.NOT_YET),
                )
        declared = rest.get("vars")
        for name, plain in declared.items() if isinstance(declared, dict) else ():
            if isinstance(plain, str) and "{{" in plain:
                self.add(("vars", name), say("vars are plain values, {{ }} has no meaning here"))
        try:
            return TaskHeader.model_validate(rest)
        except ValidationError as error:
            self.issues += issues_of(error, TaskHeader, (), known=_LIST_KEYS, patterns=PATTERNS)
            return None

    # --- triggers ---------------------------------------------------------------------------------------

    def triggers(self) -> tuple[list[tuple[Path, Trigger]], bool]:
        """The triggers with their paths, and whether these are all."""
        if "trigger" in self.raw and "triggers" in self.raw:
            self.add(
                ("trigger",), say("both `trigger` and `triggers`"), hint=say("keep one of them"), at_key=True
            )
        found: list[tuple[Path, Trigger]] = []
        written = list(self._written_triggers())
        for path, value in written:
            trigger = self._trigger(path, value)
            if trigger is None:
                continue
            if trigger.id in {other.id for _, other in found}:
                hint = say("give one of them another id") if isinstance(value, dict) and "id" in value else ""
                self.add(path, say("a second trigger `%(id)s`", id=trigger.id), hint=hint)
            found.append((path, trigger))
        return found, len(found) == len(written)

    def _written_triggers(self) -> Iterator[tuple[Path, JsonValue]]:
        if "triggers" not in self.raw:
            yield ("trigger",), self.raw.get("trigger", "manual")
            return
        written = self.raw["triggers"]
        if not isinstance(written, list) or not 0 < len(written) <= MOST_TRIGGERS:
            self.add(
                ("triggers",),
                say("this does not fit"),
                expected=say("a list of 1 to %(most_triggers)s triggers", most_triggers=MOST_TRIGGERS),
            )
            return
        for index, value in enumerate(written):
            yield ("triggers", index), value

    def _trigger(self, path: Path, value: JsonValue) -> Trigger | None:
        short = isinstance(value, str)
        try:
            whole = long_form(value) if isinstance(value, str) else value
        except PydanticCustomError as error:
            self.add(path, error.message(), hint=str((error.context or {}).get("hint", "")))
            return None
        if not isinstance(whole, dict):
            self.add(
                path, say("this does not fit"), expected=say('a mapping, or text such as "cron 0 6 * * *"')
            )
            return None
        later = [key for key in whole if key in words.LATER_TRIGGERS | words.LATER_TRIGGER_KEYS]
        for key in later:
            self.add(
                path if short else (*path, key),
                say("`%(key)s` %(not_yet)s", key=key, not_yet=words.NOT_YET),
                at_key=not short,
            )
        if later:
            return None
        try:
            return Trigger.model_validate(whole).identified()
        except ValidationError as error:
            for issue in issues_of(error, Trigger, path, patterns=PATTERNS):
                self.issues.append(_in_short_form(issue, path) if short else issue)
            return None

    # --- steps ------------------------------------------------------------------------------------------

    def steps(self, key: str) -> list[Outline]:
        written = self.raw.get(key)
        if key == "on_failure" and written is None:
            return []
        if key not in self.raw:
            self.add((), say("`%(key)s` is missing", key=key), expected=say("a list of what the task does"))
        elif key == "on_failure" and written == words.ON_FAILURE_UNDO:
            if not any(isinstance(one, dict) and one.get("undo") for one in _items(self.raw.get("actions"))):
                self.add((key,), say("no action says how it is undone"), hint=say("give one of them `undo:`"))
        else:
            return self._sequence((key,), written, "" if key == "actions" else f"{key}-")
        return []

    def _sequence(self, path: Path, written: JsonValue, prefix: str) -> list[Outline]:
        """The steps of one list. Those without an id get ``prefix``, their kind and its ordinal."""
        if not isinstance(written, list) or not 0 < len(written) <= MOST_STEPS:
            self.add(
                path,
                say("this does not fit"),
                expected=say("a list of 1 to %(most_steps)s actions", most_steps=MOST_STEPS),
            )
            return []
        ids = self._step_ids(path, written, prefix)
        return [self._outline((*path, index), ids[index], value) for index, value in enumerate(written)]

    def _outline(self, path: Path, step_id: str, value: JsonValue) -> Outline:
        given: dict[str, Any] = value if isinstance(value, dict) else {}
        before, inside = len(self.issues), _NOTHING_INSIDE
        self._not_around(path, given)
        key = BODY_KEYS.get(str(given.get("type")))
        if key in given and key is not None:
            given, inside = self._bodies(path, step_id, key, given)
        spec = self._step(path, step_id, given if isinstance(value, dict) else value)
        whole = spec if len(self.issues) == before else None
        tolerated = given.get("on_error") == OnError.CONTINUE
        return Outline(step_id, whole, "condition" in given, tolerated, inside)

    def _not_around(self, path: Path, given: dict[str, Any]) -> None:
        """A step that is made of steps has none of the keys that say how one is repeated and confirmed."""
        if isinstance(self.kinds.get(str(given.get("type"))), SplitKind):
            for common in NOT_AROUND_BODIES.keys() & given.keys():
                said = say("`%(given)s` takes no `%(common)s`", given=given["type"], common=common)
                self.add((*path, common), said, hint=NOT_AROUND_BODIES[common], at_key=True)

    def _bodies(
        self, path: Path, step_id: str, key: str, given: dict[str, Any]
    ) -> tuple[dict[str, Any], _Inside]:
        """Read the steps inside a step; gives it with its bodies validated, and their outlines."""
        if self.depth == DEEPEST:
            self.add(
                (*path, key),
                say("more than %(deepest)s steps with steps inside one another", deepest=DEEPEST),
                at_key=True,
            )
            return {**given, key: Body(()) if key == "actions" else {}}, ()
        written, inside = given[key], []
        branches = written if key == "branches" else {"": written}
        if not isinstance(branches, dict) or not 0 < len(branches) <= MOST_BRANCHES:
            expected = say(
                "a mapping of 1 to %(most_branches)s names to lists of actions", most_branches=MOST_BRANCHES
            )
            self.add((*path, key), say("this does not fit"), expected=expected)
            return {**given, key: {}}, ()
        self.depth += 1
        for name, steps in branches.items():
            below: Path = (key, name) if key == "branches" else (key,)
            if key == "branches" and not fullmatch(IDENTIFIER, name):
                self.add((*path, *below), say("%(name)r cannot name a branch", name=name), at_key=True)
            stem = f"{step_id}-{name}-" if key == "branches" else f"{step_id}-"
            inside.append((below, tuple(self._sequence((*path, *below), steps, stem))))
        self.depth -= 1
        bodies = [Body(tuple(one.spec for one in outlines if one.spec)) for _, outlines in inside]
        held = dict(zip(branches, bodies, strict=True)) if key == "branches" else bodies[0]
        return {**given, key: held}, tuple(inside)

    def _step_ids(self, path: Path, written: list[JsonValue], prefix: str) -> list[str]:
        """Given ids, and for the others the kind and its ordinal; each once in the whole task."""
        given = {str(step["id"]) for step in written if isinstance(step, dict) and step.get("id")}
        ids: list[str] = []
        counts: dict[str, int] = {}
        for index, step in enumerate(written):
            if isinstance(step, dict) and step.get("id"):
                chosen = str(step["id"])
                if chosen in self.ids:
                    self.add(
                        (*path, index, "id"),
                        say("a second step `%(chosen)s`", chosen=chosen),
                        hint=say("ids are unique in a task"),
                    )
            else:
                kind = str(step.get("type", "step")) if isinstance(step, dict) else "step"
                stem = f"{prefix}{kind}"
                counts[stem] = counts.get(stem, 0) + 1
                while (chosen := f"{stem}-{counts[stem]}") in self.ids | given:
                    counts[stem] += 1
            self.ids.add(chosen)
            ids.append(chosen)
        return ids

    def _step(self, path: Path, step_id: str, value: JsonValue) -> StepSpec | None:
        if not isinstance(value, dict):
            self.add(
                path,
                say("this does not fit"),
                expected=say("a mapping with type: and what that kind asks for"),
            )
            return None
        before = len(self.issues)
        later = words.LATER_STEP_KEYS | words.LATER_PARAMS.get(str(value.get("type")), frozenset())
        for key in later & value.keys():
            self.add((*path, key), say("`%(key)s` %(not_yet)s", key=key, not_yet=words.NOT_YET), at_key=True)
        value = {key: part for key, part in value.items() if key not in later}
        kind = self._kind(path, value)
        common = self._common(path, value)
        params = self._params(path, value, kind) if kind else None
        undo = self._undo(path, step_id, value)
        if common is None or params is None or len(self.issues) > before:
            return None
        values = {name: getattr(common, name) for name in StepCommon.model_fields}
        return StepSpec.model_construct(**{**values, "id": step_id, "params": params, "undo": undo})

    def _undo(self, path: Path, step_id: str, value: JsonObject) -> tuple[StepSpec, ...]:
        """What takes the step back. Its steps are named after it, so that they need no id of their own."""
        if "undo" not in value:
            return ()
        written, where = value["undo"], (*path, "undo")
        many = written if isinstance(written, list) else [written]
        if path[0] == "on_failure":
            self.add(where, say("only `actions` are undone"), hint=say("take `undo` away here"), at_key=True)
        if self.depth:
            hint = say("put `undo` on the step around it")
            self.add(where, say("steps inside others are not undone one by one"), hint=hint, at_key=True)
        if value.get("safe_state") is True:
            self.add(where, say("a safe state is never undone"), hint=say("keep one of the two"), at_key=True)
        if not 0 < len(many) <= MOST_UNDO:
            self.add(
                where,
                say("this does not fit"),
                expected=say("an action, or a list of 1 to %(most_undo)s", most_undo=MOST_UNDO),
            )
            return ()
        specs: list[StepSpec] = []
        for index, one in enumerate(many):
            at = (*where, index) if isinstance(written, list) else where
            refused = [key for key in ("id", "undo", "safe_state") if isinstance(one, dict) and key in one]
            for key in refused:
                self.add((*at, key), say("an action under `undo` has no `%(key)s`", key=key), at_key=True)
            if isinstance(one, dict) and self._grows(str(one.get("type"))):
                said = say(
                    "`%(given)s` takes nothing back: what it does is not known before", given=one["type"]
                )
                self.add((*at, "type"), said, hint=say("write the step that undoes it"))
            name = f"{step_id}.undo" if index == 0 else f"{step_id}.undo-{index + 1}"
            spec = None if refused else self._step(at, name, one)
            if spec is not None:
                specs.append(spec.model_copy(update={"undoes": step_id}))
        return tuple(specs)

    def _grows(self, name: str) -> bool:
        """Whether the steps of this kind stand under no key of it."""
        return isinstance(self.kinds.get(name), SplitKind) and name not in BODY_KEYS

    def _kind(self, path: Path, value: JsonObject) -> Kind | None:
        if "type" not in value:
            self.add(
                path,
                say("`type` is missing"),
                expected=say("one of %(known)s", known=", ".join(sorted(self.kinds))),
            )
            return None
        name = str(value["type"])
        kind = self.kinds.get(name)
        if kind is None and name in words.LATER_KINDS:
            self.add(
                (*path, "type"), say("the action `%(name)s` %(not_yet)s", name=name, not_yet=words.NOT_YET)
            )
        elif kind is None:
            known = self.kinds.keys() | words.LATER_KINDS
            self.add(
                (*path, "type"),
                say("unknown action `%(name)s`", name=name),
                hint=suggestion_or_list(name, known),
            )
        elif "ok_exit" in value and name not in _EXIT_STATUS_KINDS:
            self.add((*path, "ok_exit"), say("`%(name)s` has no exit status", name=name), at_key=True)
        return kind

    def _common(self, path: Path, value: JsonObject) -> StepCommon | None:
        try:
            return StepCommon.model_validate(
                {"type": "", **{k: v for k, v in value.items() if k in COMMON_KEYS - {"undo"}}}
            )
        except ValidationError as error:
            self.issues += [
                i for i in issues_of(error, StepCommon, path, patterns=PATTERNS) if i.path != (*path, "type")
            ]
            return None

    def _params(self, path: Path, value: JsonObject, kind: Kind) -> Any:
        own = {k: v for k, v in value.items() if k not in COMMON_KEYS | words.LATER_STEP_KEYS}
        try:
            return kind.params.model_validate(own)
        except ValidationError as error:
            known = COMMON_KEYS | words.LATER_STEP_KEYS
            self.issues += issues_of(error, kind.params, path, known=known, patterns=PATTERNS)
            return None


def _items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _in_short_form(issue: Issue, path: Path) -> Issue:
    """The issue of a trigger that was written as one text: all of it is at that text."""
    if issue.message.startswith("unknown key"):
        kind = issue.path[-1]
        hint = suggestion_or_list(kind, [k.value for k in words.TriggerKind])
        return Issue(path, say("unknown trigger `%(kind)s`", kind=kind), hint=hint)
    return Issue(path, issue.message, issue.expected, issue.hint)


def draft_of(raw: JsonValue) -> Draft:
    """Everything that can be read of one task as it was written."""
    if not isinstance(raw, dict):
        expected = say("a task: a mapping with name:, trigger: and actions:")
        return Draft({}, None, (), False, (), (), (Issue((), say("this does not fit"), expected),))
    builder = _Builder(raw)
    header = builder.header()
    triggers, complete = builder.triggers()
    actions, on_failure = builder.steps("actions"), builder.steps("on_failure")
    issues = tuple(builder.issues)
    return Draft(raw, header, tuple(triggers), complete, tuple(actions), tuple(on_failure), issues)


def step_of(raw: JsonObject, step_id: str) -> tuple[StepSpec | None, list[Issue]]:
    """One step that the box makes by itself, by the rules of a task file; its kind may be none of an author's."""
    builder = _Builder({}, kinds=registry())
    spec = builder._step((), step_id, raw)
    return (spec if not builder.issues else None), builder.issues
