"""The form of a platform, made from its own configuration's fields: a new platform brings its form along."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext as _

from appliance.bridges.errors import Problem
from appliance.bridges.ports import BridgeFactory
from appliance.bridges.secrets import ProxyUrl, Secret
from appliance.safety.secrets import is_reference
from webadmin.pages.platform_fields import PLAIN, Control, Group, Leaf, field_of, groups_of, read, shown
from webadmin.sentences import in_language

REFERENCE = ".reference"


@dataclass(frozen=True, slots=True)
class Row:
    """A control, and beside that of a secret the one that names where it is kept."""

    field: BoundField
    reference: BoundField | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A group of the form as it is shown. ``said``: something in it is set, or wrong."""

    group: Group
    rows: list[Row]
    said: bool


class PlatformForm(forms.Form):
    """``stored`` is the entry as it rests. A secret that was typed is never in what the form gives back to a page.

    Nothing is refused here that the configuration's own class can refuse: its problems come by ``add_problems``.
    """

    name = forms.CharField(
        required=False, max_length=64, widget=forms.TextInput(attrs={**PLAIN, "required": True})
    )

    def __init__(
        self, factory: BridgeFactory, data: Any = None, *, stored: Mapping[str, Any], renamed: bool = False
    ) -> None:
        super().__init__(data, initial={"name": stored.get("name", "")})
        self._factory = factory
        self.moved = False
        self._stored = stored
        self.groups = groups_of(factory.config)
        self.fields["name"].label = _("Name")
        self.fields["name"].help_text = _("Tasks say it: platform: %(name)s") % {
            "name": stored.get("name", "")
        }
        if not renamed:
            del self.fields["name"]
        for leaf in self._leaves():
            value = _at(stored, leaf.place)
            self.fields[leaf.place] = field_of(leaf)
            if leaf.control is Control.SECRET:
                self.fields[leaf.place + REFERENCE] = _reference(leaf)
                self.initial[leaf.place + REFERENCE] = value or ""
            else:
                self.initial[leaf.place] = shown(leaf, value)

    def entry(self) -> tuple[dict[str, Any], frozenset[str]]:
        """The whole entry as a file has it, and the places of secrets that were typed. Of a form that is valid."""
        name = self.cleaned_data.get("name", self._stored.get("name", ""))
        entry: dict[str, Any] = {"name": name}
        if name != self._factory.kind:
            entry["kind"] = self._factory.kind
        typed = set()
        for leaf in self._leaves():
            value = read(leaf, self.cleaned_data.get(leaf.place))
            if leaf.control is Control.SECRET:
                if value and not is_reference(value):
                    typed.add(leaf.place)
                value = value or self.cleaned_data.get(leaf.place + REFERENCE) or None
            if value is not None:
                _put(entry, leaf.place, value)
        return entry, frozenset(typed)

    def without_values(self) -> dict[str, Any]:
        """As ``entry``, fit to be shown: of a secret that was typed, only that there is one."""
        entry, typed = self.entry()
        entry.setdefault("enabled", True)
        for place in typed:
            _put(entry, place, _("a new value"))
        return entry

    def clean(self) -> dict[str, Any]:
        """A secret does not belong into the control for its reference, which is shown."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        for leaf in self._leaves():
            named = said.get(leaf.place + REFERENCE, "")
            if named and Secret(named).is_literal:
                sentence = _(
                    "Name a secret as secret:NAME, or a variable in capitals; a value belongs above it."
                )
                self.add_error(leaf.place, sentence)
        return said

    def add_problems(self, problems: Sequence[Problem]) -> None:
        """Each at its control; one of an object at the first control in it; the rest above all."""
        for problem in problems:
            hint = f" ({in_language(problem.hint)})" if problem.hint else ""
            self.add_error(self._control_of(problem.path), in_language(problem.message) + hint)

    def sections(self) -> Iterator[Section]:
        """What the page shows: no value of a secret comes back, also not after an error."""
        if self.is_bound:
            self.data = self._without_secrets(cast(Any, self.data).copy())
        for group in self.groups:
            rows = [self._row(leaf) for leaf in group.leaves]
            said = any(
                row.field.errors or self._is_set(leaf) for leaf, row in zip(group.leaves, rows, strict=True)
            )
            yield Section(group, rows, said)

    def _row(self, leaf: Leaf) -> Row:
        secret = leaf.control is Control.SECRET
        return Row(self[leaf.place], self[leaf.place + REFERENCE] if secret else None)

    def _is_set(self, leaf: Leaf) -> bool:
        value = self[leaf.place].value()
        return value not in ("", None, False, []) and value != shown(leaf, None)

    def _without_secrets(self, kept: Any) -> Any:
        for leaf in self._leaves():
            place = leaf.place + (REFERENCE if leaf.control is Control.SECRET else "")
            given = str(kept.get(place, ""))
            named = leaf.control is Control.SECRET and given and Secret(given).is_literal
            if named or (leaf.control is Control.PROXY and given and ProxyUrl(given).is_literal):
                kept[place] = str(self.initial.get(place, ""))
        return kept

    def _control_of(self, path: str) -> str | None:
        if path in self.fields:
            return path
        return next((name for name in self.fields if path and name.startswith(f"{path}.")), None)

    def _leaves(self) -> Iterator[Leaf]:
        for group in self.groups:
            yield from group.leaves


def _reference(leaf: Leaf) -> forms.Field:
    attrs = {**PLAIN, "placeholder": "secret:NAME", "list": "known-secrets"}
    label = _("%(title)s: where it is kept") % {"title": leaf.title}
    return forms.CharField(label=label, required=False, max_length=200, widget=forms.TextInput(attrs=attrs))


def _at(entry: Mapping[str, Any], place: str) -> Any:
    value: Any = entry
    for part in place.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _put(entry: dict[str, Any], place: str, value: Any) -> None:
    *folders, last = place.split(".")
    for folder in folders:
        entry = entry.setdefault(folder, {})
    entry[last] = value
