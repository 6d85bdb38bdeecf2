"""Chat is understood without a model, and stop comes first."""

from datetime import UTC, datetime

import pytest

from appliance.bridges.commands import is_stop, parse_command, stop_level
from appliance.bridges.ports import ChatCommand, Verb
from appliance.safety.stop import Level

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def parsed(text: str) -> ChatCommand:
    return parse_command(text, key="k", received_at=NOW)


@pytest.mark.parametrize(
    ("text", "verb", "argument"),
    [
        ("status", Verb.STATUS, ""),
        ("/status@mill_bot", Verb.STATUS, ""),
        ("  Status ", Verb.STATUS, ""),
        ("状态", Verb.STATUS, ""),
        ("run overheat_guard", Verb.RUN, "overheat_guard"),
        ("/run  overheat guard", Verb.RUN, "overheat guard"),
        ("运行 overheat_guard", Verb.RUN, "overheat_guard"),
        ("运行overheat_guard", Verb.RUN, "overheat_guard"),
        ("run", Verb.RUN, ""),
        ("mute pump 2h", Verb.MUTE, "pump 2h"),
        ("静音泵", Verb.MUTE, "泵"),
        ("取消静音", Verb.UNMUTE, ""),
        ("取消静音泵", Verb.UNMUTE, "泵"),
        ("取消 1f2e3d4c", Verb.CANCEL, "1f2e3d4c"),
        ("静音列表", Verb.MUTES, ""),
        ("help", Verb.HELP, ""),
        ("帮助", Verb.HELP, ""),
        ("/start", Verb.START, ""),
        ("remember that pump 3 was rebuilt", Verb.REMEMBER, "pump 3 was rebuilt"),
        ("Always answer in Chinese", Verb.REMEMBER, "Always answer in Chinese"),
        ("记住：三号泵五月大修过", Verb.REMEMBER, "三号泵五月大修过"),
        ("notes", Verb.NOTES, ""),
        ("笔记 接受 12", Verb.NOTES, "接受 12"),
        ("forget the conversation", Verb.FORGET, ""),
        ("忘记对话", Verb.FORGET, ""),
        ("forget that, show me pump 3", Verb.UNKNOWN, "forget that, show me pump 3"),
        ("New conversation.", Verb.ANEW, ""),
        ("新对话", Verb.ANEW, ""),
        ("new conversation with the plant", Verb.UNKNOWN, "new conversation with the plant"),
        ("running late, sorry", Verb.UNKNOWN, "running late, sorry"),
        ("", Verb.UNKNOWN, ""),
        ("@someone", Verb.UNKNOWN, "@someone"),
    ],
)
def test_words_are_commands(text: str, verb: Verb, argument: str) -> None:
    command = parsed(text)
    assert (command.verb, command.argument) == (verb, argument)


@pytest.mark.parametrize(
    "text",
    [
        "stop",
        "STOP",
        "Stop!",
        "/stop",
        "/stop@mill_bot",
        " stop now",
        "停止",
        "停",
        "急停!",
        "停止所有",
        "ｓｔｏｐ",
        "ＳＴＯＰ！",
    ],
)
def test_stop_is_understood_in_every_form(text: str) -> None:
    assert is_stop(text)
    assert parsed(text).verb is Verb.STOP


@pytest.mark.parametrize("text", ["stopwatch", "please do not", "nonstop", "run stop", "停车场"])
def test_other_words_are_not_stop(text: str) -> None:
    assert not is_stop(text)


def test_the_answers_language_follows_the_question() -> None:
    assert parsed("状态").language == "zh-hans"
    assert parsed("status").language == "en"


def test_a_huge_message_is_only_read_at_its_start() -> None:
    assert len(parsed("run " + "x" * 1_000_000).argument) < 3000


@pytest.mark.parametrize(
    ("text", "level", "reason"),
    [
        ("stop", Level.KILL, ""),
        ("stop smoke at press 7", Level.KILL, "smoke at press 7"),
        ("stop freeze smoke", Level.FREEZE, "smoke"),
        ("/stop@mill_bot CUT: leak", Level.CUT, "leak"),
        ("Stop read only", Level.READ_ONLY, ""),
        ("stop read_only, audit", Level.READ_ONLY, "audit"),
        ("stop killing me", Level.KILL, "killing me"),
        ("stop release", Level.KILL, "release"),
        ("停止断网 泄漏", Level.CUT, "泄漏"),
        ("急停 只读", Level.READ_ONLY, ""),
        ("停止所有", Level.KILL, "所有"),
    ],
)
def test_stop_names_a_level_and_a_reason(text: str, level: Level, reason: str) -> None:
    command = parsed(text)
    assert command.verb is Verb.STOP
    assert stop_level(command.argument) == (level, reason)
