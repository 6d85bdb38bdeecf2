"""What a row keeps as English text is known again and said in the reader's language."""

import ast
from pathlib import Path

import pytest
from django.utils.translation import override

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
        ("", ""),
    ],
)
def test_a_kept_sentence_is_said_in_chinese(text: str, says: str) -> None:
    assert kept(text) == text
    with override("zh-hans"):
        assert kept(text) == says


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
