"""Every address of the box, read from the URL configuration, so that none is forgotten."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

_PLACE = re.compile(r"<(?:(\w+):)?(\w+)>")


@dataclass(frozen=True, slots=True)
class Address:
    """A path with places in it (``tasks/<str:name>/``), and its name (``task``, ``admin:index``)."""

    path: str
    name: str

    @property
    def places(self) -> list[str]:
        return [name for _, name in _PLACE.findall(self.path)]

    def filled(self, values: Mapping[str, str]) -> str:
        """The path with a value in each place, by the place's name, else by its kind. Raises KeyError."""
        return "/" + _PLACE.sub(
            lambda found: values[found[2]] if found[2] in values else values[found[1] or "str"], self.path
        )


def addresses() -> list[Address]:
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns: Sequence[URLPattern | URLResolver], before: str, space: str) -> Iterator[Address]:
    for one in patterns:
        path = before + _plain(str(one.pattern))
        if isinstance(one, URLResolver):
            inner = f"{space}{one.namespace}:" if one.namespace else space
            yield from _walk(one.url_patterns, path, inner)
        else:
            yield Address(path, f"{space}{one.name or ''}")


def _plain(pattern: str) -> str:
    """A route as it is; of a regular expression only its named places."""
    pattern = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", pattern)
    return pattern.replace("^", "").replace("$", "").replace("\\", "").replace("?", "")
