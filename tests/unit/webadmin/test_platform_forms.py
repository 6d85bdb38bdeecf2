"""The form of a platform is its configuration: every key has a control, and no secret comes back out of it."""

import gettext
from datetime import time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from django.http import QueryDict
from django.template.loader import render_to_string
from pydantic import BaseModel, ConfigDict, Field

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.errors import Problem
from appliance.bridges.platforms import parse_entry
from appliance.bridges.ports import BridgeFactory, RemoteConfig
from appliance.bridges.registry import bridges
from appliance.bridges.secrets import Secret
from webadmin.pages.platform_fields import Control, groups_of
from webadmin.pages.platform_forms import PlatformForm

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
KEPT = "secret:platform.telegram.auth"
ADDED = sorted(kind for kind, factory in bridges().items() if factory.guide)


def form(kind: str, stored: dict[str, Any], said: dict[str, Any] | None = None) -> PlatformForm:
    data = None
    if said is not None:
        data = QueryDict(mutable=True)
        for key, value in said.items():
            data.setlist(key, value) if isinstance(value, list) else data.update({key: value})
    return PlatformForm(bridges()[kind], data, stored={"name": kind, **stored})


def page(one: PlatformForm) -> str:
    return render_to_string("platforms/form.html", {"form": one, "sections": list(one.sections())})


def entry(kind: str, stored: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    made = form(kind, stored, said)
    assert made.is_valid(), made.errors
    return made.entry()[0]


@pytest.mark.parametrize("kind", ADDED)
def test_every_key_has_a_label_a_help_and_both_in_chinese(kind: str) -> None:
    with (ROOT / "webadmin/locale/zh_Hans/LC_MESSAGES/django.mo").open("rb") as file:
        known = gettext.GNUTranslations(file)
    for group in groups_of(bridges()[kind].config):
        texts = {leaf.place: (leaf.title, leaf.help) for leaf in group.leaves}
        texts |= {group.place: (group.title, group.help)} if group.place else {}
        for place, both in texts.items():
            assert all(both), f"{kind}: {place} has no title or no text under it"
            assert [text for text in both if known.gettext(text) == text] == []


@pytest.mark.parametrize("kind", ADDED)
def test_a_platform_that_can_be_added_says_how_and_where_its_manual_is(kind: str) -> None:
    guide = bridges()[kind].guide
    assert guide is not None
    assert guide.steps
    assert (ROOT / "docs" / guide.manual).exists()
    assert bool(guide.webhook) <= (bridges()[kind].webhook is not None)


@pytest.mark.parametrize("kind", ADDED)
def test_no_key_of_a_platform_is_left_to_raw_json(kind: str) -> None:
    assert {leaf.control for group in groups_of(bridges()[kind].config) for leaf in group.leaves}.isdisjoint(
        {Control.JSON}
    )


def test_what_was_typed_becomes_an_entry_as_a_file_has_it() -> None:
    said = {"auth": TOKEN, "chat_id": "-100", "message_parser": "markdown_v2", "enabled": "on"}
    said |= {"limit.messages": "20", "limit.per": "1m", "proxy": "socks5h://proxy:1080", "webhook": " "}
    made = form("telegram", {}, said)
    assert made.is_valid()
    assert made.entry() == (
        {
            "name": "telegram",
            "auth": TOKEN,
            "chat_id": -100,
            "message_parser": "markdown_v2",
            "limit": {"messages": 20, "per": "1m"},
            "proxy": "socks5h://proxy:1080",
        },
        frozenset({"auth"}),
    )
    assert parse_entry(made.entry()[0]).name == "telegram"


def test_a_second_one_of_a_kind_says_which() -> None:
    made = PlatformForm(
        bridges()["telegram"], QueryDict("name=night&auth.reference=A"), stored={}, renamed=True
    )
    assert made.is_valid()
    assert made.entry()[0] == {"name": "night", "kind": "telegram", "auth": "A", "enabled": False}


def test_an_unchanged_form_gives_the_stored_entry() -> None:
    stored = {"auth": KEPT, "chat_id": 5, "limit": {"messages": 5, "per": "1h"}, "enabled": True}
    shown = form("telegram", stored)
    said = {name: shown[name].value() for name in shown.fields}
    assert entry("telegram", stored, said) == {
        "name": "telegram",
        "auth": KEPT,
        "chat_id": 5,
        "limit": {"messages": 5, "per": "1h"},
    }


def test_a_secret_is_never_in_the_page_that_comes_back() -> None:
    said = {
        "auth": TOKEN,
        "auth.reference": "another-token",
        "proxy": "socks5://me:hush@proxy:1080",
        "enabled": "on",
    }
    made = form("telegram", {"auth": KEPT}, said)
    assert not made.is_valid()
    assert "auth" in made.errors
    html = page(made)
    for secret in (TOKEN, "another-token", "hush"):
        assert secret not in html
    assert KEPT in html
    assert "hush" not in str(form("telegram", {"auth": KEPT}, {**said, "auth.reference": ""}).errors)


def test_what_is_shown_of_a_typed_secret_is_that_there_is_one() -> None:
    made = form("enterprise_im", {}, {"auth.app_id": "cli_1", "auth.app_secret": "hush", "enabled": "on"})
    assert made.is_valid()
    assert "hush" not in str(made.without_values())


def test_a_problem_stands_at_its_control_in_the_language_of_the_page() -> None:
    made = form("enterprise_im", {}, {"enabled": "on"})
    assert made.is_valid()
    made.add_problems(
        [Problem("auth", "this is needed"), Problem("", "all of it"), Problem("limit.per", "x")]
    )
    assert made.errors["auth.app_id"] == ["this is needed"]
    assert made.non_field_errors() == ["all of it"]
    html = page(made)
    assert html.index('name="auth.app_id"') < html.index("this is needed")
    assert html.count('<details class="form-more" open>') == 1


class Level(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class Hours(BaseModel):
    """As one of tomorrow's could be."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    start: time = Field(alias="from", title="From")
    """When they begin."""
    days: list[Literal["mon", "sat", "sun"]] | None = None
    passes: Level = Level.CRITICAL
    also: list[str] = Field(default_factory=list)
    loud: bool = True
    share: Annotated[float, Field(ge=0)] | None = None


class TomorrowsConfig(RemoteConfig):
    auth: Secret
    hours: Hours | None = None
    """When nobody is told."""
    wait: timedelta | None = None
    odd: dict[str, int] | None = None


def test_a_key_that_nobody_thought_of_today_has_a_control() -> None:
    groups = {group.place: group for group in groups_of(TomorrowsConfig)}
    assert (groups["hours"].title, groups["hours"].help) == ("Hours", "When nobody is told.")
    assert {leaf.place: leaf.control for leaf in groups["hours"].leaves} == {
        "hours.from": Control.TIME,
        "hours.days": Control.SEVERAL,
        "hours.passes": Control.CHOICE,
        "hours.also": Control.WORDS,
        "hours.loud": Control.CHECK,
        "hours.share": Control.NUMBER,
    }
    factory = BridgeFactory("tomorrow", "Tomorrow", TomorrowsConfig, Capabilities(10), None)
    said = "auth=hush&hours.from=22:00&hours.days=sat&hours.days=sun&hours.passes=warning&hours.also=a,b+c"
    made = PlatformForm(factory, QueryDict(f'{said}&odd={{"a": 1}}&enabled=on'), stored={"name": "tomorrow"})
    assert made.is_valid(), made.errors
    given = made.entry()[0]
    assert given["hours"] == {
        "from": "22:00",
        "days": ["sat", "sun"],
        "passes": "warning",
        "also": ["a", "b", "c"],
        "loud": False,
    }
    assert TomorrowsConfig.model_validate(given).odd == {"a": 1}
    assert "Hours" in page(made)
