"""What is wrong with a task is said in the reader's language; the API and the commands keep to one."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils.translation import override

from appliance.accounts.domain import Role
from appliance.lib.said import say
from tests.unit.tasks.test_loader import BAD
from webadmin.sentences import in_language

pytestmark = pytest.mark.django_db
Browsers = Callable[[Role], Client]
_CJK = re.compile("[\u4e00-\u9fff]")
_WHAT = re.compile(r"<p(?: class=\"(?:quiet|hint)\")?>(.*?)</p>", re.DOTALL)
MORE = """\
- name: a
  trigger: {cron: "61 * * * *", event: nothing.here}
  limit: {runs: 0, per: 2d}
  actions:
    - {type: wait, for: soon}
    - {type: mqtt, topic: "a b", payload: "{{ payload.value +* 2 }}"}
    - {type: shell, command: "echo {{ x | uper }}", args: [a]}
    - {type: foreach, items: [1], lines: a, actions: [{type: set, value: "{{ outputs.b }}"}]}
    - {type: notification, platform: webchat, message: "{% for %}"}
    - type: set
"""


def chinese(client: Client, text: str) -> list[str]:
    answer = client.post("/tasks/validate/", {"text": text}, headers={"Accept-Language": "zh-hans"})
    return [" ".join(found.split()) for found in _WHAT.findall(answer.content.decode())]


@pytest.mark.parametrize("text", [BAD, MORE, "- name: [", "", "a: &a [*a]", "- {name: a, trigger: b"])
def test_every_sentence_of_the_editor_is_in_chinese(browser: Browsers, text: str) -> None:
    found = chinese(browser(Role.ENGINEER), text)
    assert found
    for sentence in found:
        # What is expected of a key that is missing is the reference's own text.
        assert _CJK.search(sentence), sentence


def test_names_and_values_stand_in_it(browser: Browsers) -> None:
    found = chinese(browser(Role.ENGINEER), BAD)
    assert "未知的触发器“crn”" in found
    assert "您是指“cron”吗？" in found
    assert any("vars.limti" in sentence and "没有声明" in sentence for sentence in found)


def test_a_value_that_is_a_sentence_is_said_in_the_language_too() -> None:
    said = say("state() needs a topic, not %(kind)s", kind=say("a list"))
    assert said == "state() needs a topic, not a list"
    with override("zh-hans"):
        assert in_language(said) == "state() 需要主题，而不是列表"
        assert in_language("a list") == "a list", "nobody made it as a sentence"


def test_the_api_says_it_as_ever(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    body = {"text": BAD}
    answer = client.post(
        "/api/v1/tasks/validate",
        body,
        content_type="application/json",
        headers={"Accept-Language": "zh-hans"},
    )
    messages = [one["message"] for one in answer.json()["problems"]]
    assert "unknown trigger `crn`" in messages
