"""A platform file loads verbatim, or every problem is said with its place."""

import json
from pathlib import Path

import pytest

from appliance.bridges.enterprise_im.config import EnterpriseImConfig
from appliance.bridges.errors import PlatformsInvalid, Problem
from appliance.bridges.platforms import parse_platforms
from appliance.bridges.telegram.config import TelegramConfig

BRIEF = Path(__file__).parents[3] / "examples" / "brief_platforms.json"
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(PlatformsInvalid) as caught:
        parse_platforms(text)
    return caught.value.problems


def one(**keys: object) -> str:
    return json.dumps({"platforms": [{"name": "telegram", "auth": "BOT_TOKEN", **keys}]}, indent=2)


def test_the_brief_file_loads_verbatim() -> None:
    telegram, enterprise = parse_platforms(BRIEF.read_text())
    assert isinstance(telegram.config, TelegramConfig)
    assert telegram.config.auth.variable == "BOT_TOKEN"
    assert telegram.config.webhook == "https://your-domain/api/telegram"
    assert telegram.config.message_parser == "markdown_v2"
    assert isinstance(enterprise.config, EnterpriseImConfig)
    assert enterprise.config.auth.app_secret.variable == "APP_SECRET"
    assert enterprise.config.root == "https://open.feishu.cn"
    assert enterprise.config.webhook is None, "the long connection"
    assert enterprise.factory.build


def test_an_unknown_platform_is_located_with_a_suggestion() -> None:
    [problem] = problems('{\n  "platforms": [\n    {"name": "telegramm", "auth": "X"}\n  ]\n}')
    assert (problem.path, problem.line) == ("platforms[0].name", 3)
    assert "telegramm" in problem.message
    assert "'telegram'" in problem.hint


def test_an_unknown_key_is_located_with_a_suggestion() -> None:
    [problem] = problems(one(webhok="https://x.example/y"))
    assert (problem.path, problem.message, problem.line) == ("platforms[0].webhok", "unknown key", 6)
    assert "'webhook'" in problem.hint


def test_all_problems_are_told_together() -> None:
    text = json.dumps(
        {
            "platforms": [
                {"name": "telegram"},
                {"name": "telegram", "auth": "T", "proxy": "ftp://x", "webhook": "http://plain.example/x"},
                {"name": "nobody"},
                {"name": "-"},
                7,
            ]
        }
    )
    found = [problem.path for problem in problems(text)]
    assert found == [
        "platforms[0].auth",
        "platforms[1].proxy",
        "platforms[1].webhook",
        "platforms[2].name",
        "platforms[3].name",
        "platforms[4]",
    ]


def test_who_calls_the_box_has_to_prove_it() -> None:
    entry = {
        "name": "enterprise_im",
        "auth": {"app_id": "A", "app_secret": "B"},
        "webhook": "https://box.example.com/api/feishu",
    }
    [problem] = problems(json.dumps({"platforms": [entry]}))
    assert problem.path == "platforms[0]"
    assert "expected encrypt_key beside webhook" in problem.message
    [known] = parse_platforms(json.dumps({"platforms": [{**entry, "encrypt_key": "KEY", "host": "lark"}]}))
    assert isinstance(known.config, EnterpriseImConfig)
    assert known.config.root == "https://open.larksuite.com"


def test_two_platforms_of_one_kind_need_two_names() -> None:
    entry = {"name": "telegram", "auth": "A"}
    assert "second" in problems(json.dumps({"platforms": [entry, entry]}))[0].message
    night = {"name": "night-shift", "kind": "telegram", "auth": "B"}
    assert [e.name for e in parse_platforms(json.dumps({"platforms": [entry, night]}))] == [
        "telegram",
        "night-shift",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"platforms": {}}',
        "null",
        '{"platforms": [], "more": 1}',
        "[" * 100_000,
        "x" * 1_000_001,
    ],
)
def test_what_is_not_such_a_file_is_said_at_once(text: str) -> None:
    assert problems(text)


def test_no_secret_is_ever_shown() -> None:
    [entry] = parse_platforms(one(auth=TOKEN, proxy="socks5://me:hush@proxy:1080"))
    assert TOKEN not in repr(entry)
    assert "hush" not in repr(entry)
    [problem] = problems(json.dumps({"platforms": [{"name": "telegram", "auth": {"token": TOKEN}}]}))
    assert TOKEN not in str(problem)
    assert problem.path.startswith("platforms[0].auth")


@pytest.mark.parametrize(
    ("limit", "place", "said"),
    [
        ({"messages": 0, "per": "1m"}, "limit.messages", "greater than or equal to 1"),
        ({"messages": 5}, "limit.per", "this is needed"),
        ({"messages": 5, "per": "soon"}, "limit.per", "not a duration"),
        ({"messages": 5, "per": "2d"}, "limit.per", "one day at most"),
        ({"messages": 5, "per": "1m", "runs": 1}, "limit.runs", "unknown key"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_with_its_place(
    limit: dict[str, object], place: str, said: str
) -> None:
    [problem] = problems(one(limit=limit))
    assert problem.path.startswith(f"platforms[0].{place}")
    assert said in problem.message
