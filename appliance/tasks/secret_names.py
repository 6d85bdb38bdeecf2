"""The stored secrets that a task names: they must be there when it is saved, and stand where a step takes one."""

from collections.abc import Iterator, Mapping

from appliance.actions.registry import registry
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.issues import suggestion, texts_of
from appliance.lib.located.problems import Path, part_at
from appliance.lib.said import say
from appliance.safety.references import named_by
from appliance.tasks.definition import Issue, StepSpec, TaskDefinition
from appliance.tasks.definition.bodies import BODY_KEYS, each_step
from appliance.tasks.definition.places import placed_steps

_NOT_OF_THE_STEP = frozenset({"undo", *BODY_KEYS.values()})


def secrets_of(definition: TaskDefinition) -> frozenset[str]:
    """The names of all secrets that its steps use."""
    steps = each_step(definition.all_steps)
    return frozenset(name for step in steps for name in registry()[step.type].secrets(step.params))


def named_in(canonical: JsonObject) -> frozenset[str]:
    """As ``secrets_of``, of a stored definition that is not read as one: no name too few, hardly one too many."""
    found = set()
    for path, text in texts_of(canonical):
        name = text if path[-1] == "database" else named_by(text, behind_a_word=True)
        if name is not None:
            found.add(name)
    return frozenset(found)


def secret_issues(
    definition: TaskDefinition, raw: JsonValue, known: Mapping[str, bool] | None
) -> Iterator[Issue]:
    """Secrets that are not there, and those at a place where their name would be taken for the value.

    ``known`` are those that are there, each with whether whoever asks may be told its name; None: nobody can say.
    """
    for inner, text in texts_of(part_at(raw, ("vars",))):
        if named_by(text):
            yield Issue(("vars", *inner), say("a secret is named in the step that uses it, not in vars"))
    for path, step in placed_steps(definition, raw):
        written = part_at(raw, path)
        places = registry()[step.type].secrets(step.params)
        taken = {place for found in places.values() for place in found}
        own = (
            {k: v for k, v in written.items() if k not in _NOT_OF_THE_STEP}
            if isinstance(written, dict)
            else {}
        )
        for inner, text in texts_of(own):
            if inner not in taken and named_by(text):
                yield Issue(
                    (*path, *inner), say("`%(kind)s` takes no secret here", kind=step.type), hint=_where(step)
                )
        if known is not None:
            yield from _unknown(path, step, own, known)


def _unknown(path: Path, step: StepSpec, own: JsonObject, known: Mapping[str, bool]) -> Iterator[Issue]:
    for name, places in registry()[step.type].secrets(step.params).items():
        if name in known:
            continue
        hint = suggestion(name, [one for one, told in known.items() if told]) or say(
            "an administrator sets it: manage.py secrets set %(name)s", name=name
        )
        places = places or [
            inner for inner, text in texts_of(own) if inner[-1] == "database" and text == name
        ]
        for place in places or [()]:
            yield Issue((*path, *place), say("there is no secret `%(name)s`", name=name), hint=hint)


def _where(step: StepSpec) -> str:
    fields = sorted(registry()[step.type].secret_fields)
    if fields:
        return say(
            "it is taken in %(fields)s; in {{ 'secret:…' }} it is plain text", fields=", ".join(fields)
        )
    return say("http, shell, container and sql take secrets; in {{ 'secret:…' }} it is plain text")
