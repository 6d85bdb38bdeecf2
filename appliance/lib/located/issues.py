"""What is wrong with a value, in the words of its author; pydantic's errors translated."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.problems import MOST_PROBLEMS, Path
from appliance.lib.said import say

NO_WORDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, by its path. ``offset`` counts characters of the text at ``path``."""

    path: Path
    message: str
    expected: str = ""
    hint: str = ""
    at_key: bool = False
    offset: int | None = None


_MOST_COMPARED = 200
"""Comparing words is slow; nobody is helped by a name out of thousands."""


def suggestion(word: object, known: Collection[str]) -> str:
    """``did you mean `notification`?``, or nothing where nothing is near."""
    near = get_close_matches(str(word)[:100], sorted(known)[:_MOST_COMPARED], 1)
    return say("did you mean `%(near)s`?", near=near[0]) if near else ""


def suggestion_or_list(word: object, known: Collection[str]) -> str:
    return suggestion(word, known) or say("known here: %(known)s", known=", ".join(sorted(known)))


_EXPECTED = {
    "string_type": say("text"),
    "bool_type": say("true or false"),
    "bool_parsing": say("true or false"),
    "int_type": say("a whole number"),
    "int_parsing": say("a whole number"),
    "int_from_float": say("a whole number"),
    "float_type": say("a number"),
    "float_parsing": say("a number"),
    "list_type": say("a list"),
    "tuple_type": say("a list"),
    "dict_type": say("a mapping"),
    "model_type": say("a mapping"),
    "mapping_type": say("a mapping"),
}


def issues_of(
    error: ValidationError,
    model: type[BaseModel],
    prefix: Path,
    *,
    known: Collection[str] = (),
    patterns: Mapping[str, str] = NO_WORDS,
) -> Iterator[Issue]:
    """The issues of one validation.

    ``known`` are keys that are legal beside the model's own; ``patterns`` says in words what each regular
    expression of its fields asks for.
    """
    for detail in error.errors(include_url=False)[:MOST_PROBLEMS]:
        path = tuple(part for part in detail["loc"] if part != "[key]")
        issue = _issue(detail, model, path, known, patterns)
        yield Issue(
            (*prefix, *issue.path), issue.message, issue.expected, issue.hint, issue.at_key, issue.offset
        )


def _issue(
    detail: ErrorDetails,
    model: type[BaseModel],
    path: Path,
    known: Collection[str],
    patterns: Mapping[str, str],
) -> Issue:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    at_key = "[key]" in detail["loc"]
    if kind == "missing":
        return Issue(path[:-1], say("`%(key)s` is missing", key=path[-1]), expected=_description(model, path))
    if kind == "extra_forbidden":
        keys = _keys_at(model, path[:-1]) | (set(known) if len(path) == 1 else set())
        return Issue(
            path,
            say("unknown key `%(key)s`", key=path[-1]),
            hint=suggestion_or_list(path[-1], keys),
            at_key=True,
        )
    if kind in ("enum", "literal_error"):
        words = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return Issue(
            path,
            say("`%(given)s` is not known here", given=given),
            ", ".join(words),
            suggestion(given, words),
        )
    if kind == "expression":
        return _expression_issue(path, context)
    if kind == "refused":
        return Issue(path, context["message"], hint=context.get("hint", ""), at_key=at_key)
    if kind == "template_type":
        return Issue(path, say("expected %(expected)s", expected=context["expected"]), at_key=at_key)
    if kind == "string_pattern_mismatch":
        words_of = patterns.get(str(context["pattern"]), "")
        return Issue(path, say("%(given)s cannot be used here", given=_shown(given)), words_of, at_key=at_key)
    if kind == "value_error":
        return Issue(path, _first_of(context["error"]))
    if kind in _EXPECTED:
        hint = say("put it in quotes") if kind == "string_type" and isinstance(given, int | float) else ""
        return Issue(path, say("%(given)s does not fit", given=_shown(given)), _EXPECTED[kind], hint, at_key)
    if (bound := _BOUNDS.get(kind)) is not None:
        return Issue(path, bound(next(iter(context.values()))), at_key=at_key)
    return Issue(path, detail["msg"].replace("Input should", "it should"), at_key=at_key)


_BOUNDS: Mapping[str, Callable[[Any], str]] = {
    "greater_than": lambda than: say("it should be greater than %(than)s", than=than),
    "greater_than_equal": lambda than: say("it should be greater than or equal to %(than)s", than=than),
    "less_than": lambda than: say("it should be less than %(than)s", than=than),
    "less_than_equal": lambda than: say("it should be less than or equal to %(than)s", than=than),
}
"""pydantic's sentences about numbers, whose one value is the bound."""


def _first_of(error: Exception) -> str:
    """The sentence of an error as it was made, with its values."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, str) else str(error)


def _shown(value: Any) -> str:
    if value is None:
        return say("nothing")
    if isinstance(value, dict | list):
        return say("a mapping") if isinstance(value, dict) else say("a list")
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _expression_issue(path: Path, context: dict[str, Any]) -> Issue:
    inner = tuple(context.get("path", ()))
    hint, offset = context.get("hint", ""), int(context.get("offset", 0))
    return Issue((*path, *inner), context["message"], hint=hint, offset=offset)


def texts_of(value: JsonValue) -> Iterator[tuple[Path, str]]:
    """Every text inside a value, with its path."""
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from (((index, *path), text) for path, text in texts_of(item))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (((key, *path), text) for path, text in texts_of(item))


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that a path inside ``model`` leads to."""
    found: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or found is None:
            continue
        fields = {(field.alias or name): field for name, field in found.model_fields.items()}
        found = _model_in(fields[part].annotation) if part in fields else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m is not None), None)


def _keys_at(model: type[BaseModel], path: Path) -> set[str]:
    found = _model_at(model, path)
    return {field.alias or name for name, field in found.model_fields.items()} if found else set()


def _description(model: type[BaseModel], path: Path) -> str:
    found = _model_at(model, path[:-1])
    field = found.model_fields.get(str(path[-1])) if found else None
    return " ".join((field.description or "").split()).rstrip(".") if field else ""
