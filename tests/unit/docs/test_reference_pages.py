"""Reference pages that people wrote say what the code says."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

from appliance.accounts.domain import Role
from appliance.actions.registry import written_kinds
from appliance.safety.stop import Level
from tests.unit.docs.pages import ROOT, first_column
from webadmin.mcp.door import PREFIX as TOOLS
from webadmin.models_api import PREFIX as MODELS

REFERENCE = ROOT / "docs" / "reference"


def test_every_kind_of_action_has_its_effect_class() -> None:
    assert set(first_column(REFERENCE / "effect-classes.md", "By kind")) == set(written_kinds())


def addresses(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """All of them but the last route, which answers a platform's webhook on the path that it was given."""
    for one in resolver.url_patterns:
        if isinstance(one, URLPattern) and one.name != "anything-else":
            yield f"/{before}{one.pattern}"
        elif isinstance(one, URLResolver):
            yield from addresses(one, f"{before}{one.pattern}")


def test_every_address_of_the_box_stands_under_its_first_part() -> None:
    text = (REFERENCE / "http.md").read_text()
    parts = {re.split(r"/", address)[1] for address in addresses(get_resolver())}
    missing = [part for part in sorted(parts) if f"`/{part}" not in text]
    assert not missing


def test_no_address_is_named_that_the_box_does_not_have() -> None:
    parts = {re.split(r"/", address)[1] for address in addresses(get_resolver())} | {
        one.strip("/") for one in (MODELS, TOOLS)
    }
    text = (REFERENCE / "http.md").read_text()
    cells = re.findall(r"^\| (`/[^|]*) \|", text, re.MULTILINE)
    named = [word for cell in cells for word in re.findall(r"`/([^/`]*)", cell)]
    assert set(named) <= parts


def test_the_roles_are_named_in_their_order() -> None:
    assert first_column(REFERENCE / "commands.md", "Roles") == [role.value for role in Role]


def test_the_levels_of_the_stop_are_named_in_their_order() -> None:
    page = ROOT / "docs" / "how-to" / "stop-everything.md"
    assert first_column(page, "Levels") == [level.value for level in Level if level is not Level.NONE]
