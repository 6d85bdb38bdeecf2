"""What a row keeps as English text is known again and said in the reader's language."""

import ast
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from django.utils.translation import override

from appliance.agent.conversations.telling import Answer, Place, item_of
from appliance.agent.domain import Call, TurnOutput
from appliance.agent.loop.doubting import answer_said, doubts_said
from appliance.agent.loop.ending import _WORDS, ReadBack, not_confirmed
from appliance.agent.loop.story import Fate, Result
from appliance.lib.identity import uuid7
from appliance.runs.approval_notices import message
from appliance.safety.approvals.asking import Opened, Wish
from appliance.safety.approvals.domain import Subject, Terms
from appliance.safety.approvals.framing import shown_said
from webadmin import acceptance_sentences
from webadmin.kept_sentences import WITH_VALUES
from webadmin.sentences import kept

ROOT = Path(__file__).resolve().parents[3]
SAID_AT_ONCE = {"words", "taking", "chats", "platforms", "services", "config", "catalogue", "golden_sets"}
"""Modules whose sentences go to whoever is saving a platform or a golden set; no row keeps them."""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no recipient yet", "还没有接收者"),
        (
            "no recipient yet (open the platform page, or write to the bot)",
            "还没有接收者 (请打开平台页面，或给机器人发一条消息)",
        ),
        ("all-stop: nothing leaves the box", "全部停止：任何消息都不会离开设备"),
        ("the connection failed (OSError)", "连接失败（OSError）"),
        ("Telegram cannot be reached: no answer in time", "无法访问 Telegram：没有及时应答"),
        ("Slack is out of order (status 503)", "Slack 发生故障（状态码 503）"),
        ("expired: WeCom asks for patience", "已过期：WeCom 要求稍后再试"),
        (
            "the platform 'hall' is not configured (add it on the platforms page)",
            "平台 'hall' 尚未配置 (请在“平台”页面上添加)",
        ),
        (
            "the secret T is not set (enter it on the platform page, or: manage.py secrets set T)",
            "机密 T 尚未设置 (请在平台页面上输入，或执行：manage.py secrets set T)",
        ),
        ("something that a platform said itself", "something that a platform said itself"),
        ("6 of 8 tool calls fit their schema", "8 次工具调用中有 6 次符合其模式"),
        ("the engine broke off: ConnectError", "引擎中断：ConnectError"),
        (
            "it failed completion: its answer is empty (also: context)",
            "未通过“completion”：它的回答是空的（另有：context）",
        ),
        (
            "step talk: it made no progress in 3 turns: it called nothing",
            "步骤 talk：3 轮没有进展：没有调用任何工具",
        ),
        (
            "step work: this very call was made twice already: a third time brings nothing new",
            "步骤 work：同样的调用已执行两次：第三次不会有新的结果",
        ),
        ("cancelled by user:ming", "由 ming 取消"),
        ("the policy asks for a person's word (rule box/default)", "策略要求由人决定（规则 box/default）"),
        ("an agent proposes this; it says: “denied”", "智能体提议这样做；它说：“denied”"),
        (
            "an agent proposes this (1 of 2 in its plan); it says: “the pump is hot”",
            "智能体提议这样做（计划共 2 步，这是第 1 步）；它说：“the pump is hot”",
        ),
        ("its run has ended", "运行已结束"),
        (
            "hall: the command cannot be started: No such file or directory",
            "hall：无法启动命令：没有该文件或目录",
        ),
        ("far: All connection attempts failed", "far：所有连接尝试都失败了"),
        ("it says that something was changed, and nothing was", "它说更改了某些内容，但实际上什么都没有更改"),
        ("", ""),
    ],
)
def test_a_kept_sentence_is_said_in_chinese(text: str, says: str) -> None:
    assert kept(text) == text
    with override("zh-hans"):
        assert kept(text) == says


PLAN = "An agent proposes 2 steps: it called nothing\n1. mqtt (topic: a) (it says: “it is hot”)\n2. notify (text: b)"


def test_the_frame_of_a_plan_is_said_in_chinese_and_what_stands_in_it_as_it_is() -> None:
    assert shown_said(PLAN) == PLAN
    with override("zh-hans"):
        assert shown_said(PLAN) == (
            "智能体提议 2 个步骤：it called nothing\n1. mqtt (topic: a)（它说：“it is hot”）\n2. notify (text: b)"
        )
        other = "$ x\n1. mqtt (it says: “it is hot”)"
        assert shown_said(other) == other


def test_the_message_that_asks_has_its_frame_in_the_language_of_its_chat() -> None:
    shown, why = (
        "An agent proposes 2 steps.\n1. mqtt (topic: a)",
        "the policy asks for a person's word (rule box/default)",
    )
    subject = Subject("agent_plan", "pure", {}, 0)
    wish = Wish(UUID(int=1), "plan-2", 1, "pump", subject, Terms(), "user:ana", shown, why)
    opened = Opened(uuid7(), "K4711", "token", datetime.now(UTC), wish)
    assert shown in str(message(opened, "en")["text"])
    said = str(message(opened, "zh-hans")["text"])
    assert "智能体提议 2 个步骤。\n1. mqtt (topic: a)" in said
    assert "原因：策略要求由人决定（规则 box/default）" in said


@pytest.mark.parametrize(
    ("done", "changed", "says"),
    [
        ((), False, "[未完成：mqtt 被拒绝。]"),
        ((), True, "[未经确认：它说更改了某些内容，但实际上什么都没有更改：mqtt 被拒绝。]"),
        (("call-1-2",), True, "[未经确认：并非全部完成：mqtt 被拒绝。]"),
    ],
)
def test_what_no_row_confirms_is_said_in_chinese_behind_an_answer(
    done: tuple[str, ...], changed: bool, says: str
) -> None:
    found = ReadBack(tuple(_missed(one, Fate.DONE) for one in done), (), (_missed("call-1-1"),), ())
    text = f"Pump 3 is off.{not_confirmed(found.doubts(TurnOutput(changed=changed)))}"
    assert answer_said(text) == text
    with override("zh-hans"):
        assert answer_said(text) == f"Pump 3 is off.\n\n{says}"


def test_an_answer_in_a_chat_has_the_doubts_in_its_language() -> None:
    text = f"Off.{not_confirmed('it says that something was changed, and nothing was')}"
    told = Answer(UUID(int=1), "pump", text, datetime.now(UTC), {})
    message = item_of(told, Place("webchat", "user:ming", "zh-hans"), UUID(int=1)).message
    assert str(message["text"]).startswith("Off.\n\n[未经确认：它说更改了某些内容，但实际上什么都没有更改。]")


@pytest.mark.parametrize("fate", _WORDS)
def test_each_word_of_the_doubts_is_known_again(fate: Fate) -> None:
    doubts = ReadBack((), (), (_missed("call-1-1", fate),), ()).doubts(TurnOutput())
    assert _WORDS[fate] in doubts
    with override("zh-hans"):
        assert _WORDS[fate] not in doubts_said(doubts)


def test_that_nothing_was_changed_is_known_again() -> None:
    doubts = ReadBack((), (), (), ()).doubts(TurnOutput(changed=True))
    with override("zh-hans"):
        assert doubts_said(doubts) == kept(doubts) != doubts


def _missed(step: str, fate: Fate = Fate.DENIED) -> Result:
    return Result(step, Call("mqtt", {}), fate, "")


def test_every_sentence_with_values_that_may_be_kept_is_known_again() -> None:
    folders = (ROOT / "appliance/bridges", ROOT / "appliance/outbox", ROOT / "appliance/inference/acceptance")
    files = [file for one in folders for file in one.rglob("*.py") if file.stem not in SAID_AT_ONCE]
    said = {
        node.args[0].value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "say"
        and node.keywords
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(said) > 5
    assert said <= {*WITH_VALUES, *acceptance_sentences.WITH_VALUES}


def test_a_long_text_of_a_platform_is_no_work() -> None:
    text = "x (" * 300 + "y)" * 50
    with override("zh-hans"):
        assert kept(text) == text


def test_sentences_one_within_the_other_have_an_end() -> None:
    """Whoever writes what a row keeps could write it a hundred times into itself."""
    text = "step a: " * 500
    assert kept(text).startswith("step a: ")
