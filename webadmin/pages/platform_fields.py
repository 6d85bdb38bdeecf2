"""Controls for the keys of a platform's configuration, made from its pydantic class: one for each leaf of the tree."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import Enum, StrEnum
from inspect import get_annotations
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from django import forms
from django.utils.translation import gettext as _
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from appliance.bridges.secrets import ProxyUrl, Secret
from appliance.lib.duration import format_duration
from webadmin.words import WORDS

PLAIN = {"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}
_WHOLE = re.compile(r"-?[0-9]{1,18}")
LONGEST = 2000


class Control(StrEnum):
    """How a key is asked for."""

    SECRET = "secret"  # noqa: S105 - the name of a control
    PROXY = "proxy"
    CHECK = "check"
    CHOICE = "choice"
    SEVERAL = "several"
    WHOLE = "whole"
    NUMBER = "number"
    WHOLE_OR_TEXT = "whole_or_text"
    WORDS = "words"
    TIME = "time"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One key. ``place`` is its path in the entry, such as ``limit.per``; ``default`` what it is when it is absent."""

    place: str
    title: str
    help: str
    control: Control
    needed: bool
    default: Any
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Keys that stand together: those of one object. ``common``: every platform has them."""

    place: str
    title: str
    help: str
    common: bool
    leaves: list[Leaf] = field(default_factory=list)


def groups_of(
    config: type[BaseModel], leave_out: frozenset[str] = frozenset({"name", "kind"})
) -> list[Group]:
    """The platform's own keys first, in the order of its class; then those that every platform has."""
    own = get_annotations(config)
    found: list[Group] = []
    for common in (False, True):
        top = Group("", "", "", common)
        nested: list[Group] = []
        for name, info in config.model_fields.items():
            if name in leave_out or (name in own) is common:
                continue
            place = info.alias or name
            model = _model(info.annotation)
            if model is None:
                top.leaves.append(_leaf(place, name, info, needed=info.is_required()))
            else:
                nested += _nested(model, place, name, info, common, needed=info.is_required())
        found += [group for group in (top, *nested) if group.leaves]
    return found


def _nested(
    model: type[BaseModel], place: str, name: str, info: FieldInfo, common: bool, *, needed: bool
) -> Iterator[Group]:
    here = Group(place, _title(name, info), _help(info), common)
    yield here
    for inner, one in model.model_fields.items():
        at = f"{place}.{one.alias or inner}"
        deeper = _model(one.annotation)
        if deeper is None:
            here.leaves.append(_leaf(at, inner, one, needed=needed and one.is_required()))
        else:
            yield from _nested(deeper, at, inner, one, common, needed=needed and one.is_required())


def _leaf(place: str, name: str, info: FieldInfo, *, needed: bool) -> Leaf:
    control, choices = _control(info.annotation)
    default = None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    return Leaf(place, _title(name, info), _help(info), control, needed, default, choices)


def _title(name: str, info: FieldInfo) -> str:
    return _(info.title) if info.title else name.replace("_", " ").capitalize()


def _help(info: FieldInfo) -> str:
    text = " ".join((info.description or "").split())
    return _(text) if text else ""


def _kinds(annotation: Any) -> list[Any]:
    """The types that a value may have, without None and without what only checks it."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for one in get_args(annotation) for kind in _kinds(one)]
    return [] if annotation is type(None) else [annotation]


def _model(annotation: Any) -> type[BaseModel] | None:
    """The class of an object with keys of its own; a secret is a single text."""
    kinds = _kinds(annotation)
    one = kinds[0] if len(kinds) == 1 else None
    is_object = isinstance(one, type) and issubclass(one, BaseModel) and not issubclass(one, Secret)
    return one if is_object else None


_CONTROLS: tuple[tuple[type, Control], ...] = (
    (ProxyUrl, Control.PROXY),
    (Secret, Control.SECRET),
    (bool, Control.CHECK),
    (int, Control.WHOLE),
    (float, Control.NUMBER),
    (time, Control.TIME),
    (timedelta, Control.TEXT),
    (str, Control.TEXT),
)


def _control(annotation: Any) -> tuple[Control, tuple[str, ...]]:
    kinds = _kinds(annotation)
    if set(kinds) == {int, str}:
        return Control.WHOLE_OR_TEXT, ()
    if len(kinds) != 1:
        return Control.JSON, ()
    (kind,) = kinds
    words = _words(kind)
    if words:
        return Control.CHOICE, words
    if get_origin(kind) in (list, tuple, set, frozenset):
        inner = _kinds(get_args(kind)[0])
        words = _words(inner[0]) if len(inner) == 1 else ()
        return (Control.SEVERAL, words) if words else (Control.WORDS if inner == [str] else Control.JSON, ())
    for known, control in _CONTROLS:
        if isinstance(kind, type) and issubclass(kind, known):
            return control, ()
    return Control.JSON, ()


def _words(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(str(one) for one in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(one.value) for one in kind)
    return ()


def field_of(leaf: Leaf) -> forms.Field:
    """The control of a leaf. Whether it has to be there is the configuration's to say."""
    shared: dict[str, Any] = {"label": leaf.title, "help_text": leaf.help, "required": False}
    attrs: dict[str, Any] = {**PLAIN, **({"required": True} if leaf.needed else {})}
    match leaf.control:
        case Control.SECRET:
            return forms.CharField(**shared, max_length=16_000, widget=forms.PasswordInput(attrs=PLAIN))
        case Control.CHECK:
            return forms.BooleanField(**shared)
        case Control.CHOICE:
            empty = [] if leaf.default is not None or leaf.needed else [("", "-")]
            return forms.ChoiceField(**shared, choices=[*empty, *_labelled(leaf.choices)])
        case Control.SEVERAL:
            boxes = forms.CheckboxSelectMultiple()
            return forms.MultipleChoiceField(**shared, choices=_labelled(leaf.choices), widget=boxes)
        case Control.WHOLE:
            return forms.CharField(**shared, max_length=20, widget=forms.NumberInput(attrs=attrs))
        case Control.TIME:
            return forms.CharField(**shared, widget=forms.TextInput(attrs={**attrs, "type": "time"}))
        case Control.JSON:
            return forms.JSONField(
                **shared, widget=forms.Textarea(attrs={**attrs, "rows": 3, "class": "code"})
            )
        case _:
            return forms.CharField(**shared, max_length=LONGEST, widget=forms.TextInput(attrs=attrs))


def _labelled(words: tuple[str, ...]) -> list[tuple[str, Any]]:
    return [(one, WORDS[one].text if one in WORDS else one) for one in words]


def shown(leaf: Leaf, value: Any) -> Any:
    """A value of a stored entry as its control shows it."""
    if value is None:
        value = leaf.default
    if isinstance(value, timedelta):
        return format_duration(value)
    match leaf.control:
        case Control.SEVERAL:
            return [str(one) for one in value or ()]
        case Control.CHECK | Control.JSON:
            return value
        case Control.WORDS:
            return " ".join(value or ())
        case Control.TIME:
            return str(value or "")[:5]
        case _:
            return "" if value is None else str(value)


_READ: dict[Control, Callable[[str], Any]] = {
    Control.WHOLE: lambda text: int(text) if _WHOLE.fullmatch(text) else text,
    Control.WHOLE_OR_TEXT: lambda text: int(text) if _WHOLE.fullmatch(text) else text,
    Control.WORDS: lambda text: re.split(r"[\s,]+", text.strip()),
}


def read(leaf: Leaf, given: Any) -> Any:
    """What somebody entered, as the entry has it. None: the key is left out."""
    if leaf.control is Control.CHECK:
        return None if given == bool(leaf.default) else bool(given)
    # What is as it would be without a word of it is left out: else an object that nobody wants would begin to be.
    if given in ("", None, [], {}, shown(leaf, None)):
        return None
    return _READ[leaf.control](given) if leaf.control in _READ else given
