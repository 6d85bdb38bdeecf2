"""The words that chat understands without a model, in English and Chinese. ``stop`` comes before all else."""

import re
from datetime import datetime
from unicodedata import normalize

from django.utils.translation import gettext, override

from appliance.bridges.ports import ChatCommand, Verb
from appliance.safety.stop import Level

_WORDS: dict[str, Verb] = {
    "stop": Verb.STOP,
    "停止": Verb.STOP,
    "停": Verb.STOP,
    "急停": Verb.STOP,
    "status": Verb.STATUS,
    "状态": Verb.STATUS,
    "tasks": Verb.TASKS,
    "任务": Verb.TASKS,
    "runs": Verb.RUNS,
    "记录": Verb.RUNS,
    "cancel": Verb.CANCEL,
    "取消": Verb.CANCEL,
    "run": Verb.RUN,
    "运行": Verb.RUN,
    "answer": Verb.ANSWER,
    "回答": Verb.ANSWER,
    "approve": Verb.APPROVE,
    "批准": Verb.APPROVE,
    "deny": Verb.DENY,
    "拒绝": Verb.DENY,
    "ack": Verb.ACK,
    "确认": Verb.ACK,
    "知道了": Verb.ACK,
    "mute": Verb.MUTE,
    "静音": Verb.MUTE,
    "unmute": Verb.UNMUTE,
    "取消静音": Verb.UNMUTE,
    "mutes": Verb.MUTES,
    "静音列表": Verb.MUTES,
    "remember": Verb.REMEMBER,
    "always": Verb.REMEMBER,
    "记住": Verb.REMEMBER,
    "总是": Verb.REMEMBER,
    "notes": Verb.NOTES,
    "笔记": Verb.NOTES,
    "help": Verb.HELP,
    "帮助": Verb.HELP,
    "start": Verb.START,
    "pair": Verb.PAIR,
    "配对": Verb.PAIR,
}
_WITHOUT_SPACE = (
    *("取消静音", "静音", "运行", "状态", "任务", "记录", "取消", "回答", "批准", "拒绝"),
    *("确认", "知道了", "配对", "记住", "总是", "笔记"),
)
_WHOLE = (
    (re.compile(r"/?forget(?: (?:the|this|our|my))? conversation[.!]?", re.IGNORECASE), Verb.FORGET),
    (re.compile(r"(?:忘记|忘掉|清除)(?:这次|这个|本次)?(?:对话|会话)[。！]?"), Verb.FORGET),
    (re.compile(r"/?new conversation[.!]?", re.IGNORECASE), Verb.ANEW),
    (re.compile(r"(?:新对话|新会话|开始新对话|开始新会话)[。！]?"), Verb.ANEW),
)
"""Words that are a whole message: the beginning of another sentence is none of them."""
_THAT = re.compile(r"(?:that|to)\s+|[,:，：]\s*", re.IGNORECASE)
_STOP = re.compile(r"\s*/?(?:stop(?:@\w+)?(?!\w)|停止|急停|停(?!\w))", re.IGNORECASE)
_LEVELS = {
    "freeze": Level.FREEZE,
    "冻结": Level.FREEZE,
    "kill": Level.KILL,
    "终止": Level.KILL,
    "cut": Level.CUT,
    "断网": Level.CUT,
    "readonly": Level.READ_ONLY,
    "只读": Level.READ_ONLY,
}
_STOP_WORD = re.compile(
    r"[\s,:，：]*((?:freeze|kill|cut|read[ _-]?only)(?!\w)|冻结|终止|断网|只读)[\s,:，：]*", re.IGNORECASE
)
_COMMAND = re.compile(r"\s*/?([^\s@:：]+)(?:@\w+)?[\s:：]*(.*)", re.DOTALL)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
LONGEST = 2000
"""Characters of a command."""
LONGEST_TALK = 8000
"""Characters of a message that is no command."""


def is_stop(text: str) -> bool:
    """Whether a message is an order to stop: matched before anything else looks at it, in whichever letters."""
    return _STOP.match(_plain_forms(text)) is not None


def _plain_forms(text: str) -> str:
    """Full-width letters and their like as the plain ones that they stand for."""
    return normalize("NFKC", text[:LONGEST])


def parse_command(text: str, *, key: str, received_at: datetime, language: str = "en") -> ChatCommand:
    """The command in a message. ``run`` without a space is fine in Chinese: ``运行 泵`` and ``运行泵``."""
    text = _plain_forms(text) if is_stop(text) else text[:LONGEST_TALK]
    if _CHINESE.search(text):
        language = "zh-hans"
    verb, argument = _words(text[:LONGEST])
    return ChatCommand(verb, argument.strip(), text, language, key, received_at)


def stop_level(argument: str) -> tuple[Level, str]:
    """The level that stands behind the word ``stop``, and the rest: the reason. Without one, ``kill``.

    Never a question and never an error: whatever else is said, the box stops.
    """
    match = _STOP_WORD.match(argument)
    if match is None:
        return Level.KILL, argument.strip()
    return _LEVELS[re.sub(r"[\s_-]", "", match[1]).lower()], argument[match.end() :].strip()


def _words(text: str) -> tuple[Verb, str]:
    stop = _STOP.match(text)
    if stop:
        return Verb.STOP, text[stop.end() :]
    whole = next((verb for words, verb in _WHOLE if words.fullmatch(text.strip())), None)
    if whole is not None:
        return whole, ""
    match = _COMMAND.match(text)
    if match is None:
        return Verb.UNKNOWN, text
    word, argument = match[1].lower(), match[2]
    if word == "always":
        return Verb.REMEMBER, text.strip(" /")
    if word in _WORDS:
        return _WORDS[word], _THAT.sub("", argument, count=1) if word == "remember" else argument
    joined = next((known for known in _WITHOUT_SPACE if word.startswith(known)), None)
    if joined:
        return _WORDS[joined], f"{match[1][len(joined) :]} {argument}"
    return Verb.UNKNOWN, text


def word_at(beginning: str, goes_on: bool) -> str:
    """The word of the box for which a sentence with this beginning may be taken; empty where there is none.

    ``goes_on``: anything may stand right after it. A sentence that may begin with anything may be ``stop``.
    """
    if not beginning:
        return "stop"
    said, (verb, _) = beginning.strip(" /").lower(), _words(beginning)
    if verb is not Verb.UNKNOWN:
        return max((word for word in _WORDS if said.startswith(word)), key=len, default=verb.value)
    if not goes_on or " " in beginning:
        return ""
    return next((word for word in _WORDS if word.startswith(said)), "")


def help_text(language: str) -> str:
    """What chat understands."""
    with override(language):
        return "\n".join(
            [
                gettext("I understand:"),
                gettext("status - what is running"),
                gettext("tasks - what can be started"),
                gettext("run <task> - start a task"),
                gettext("runs - the last runs, and those of a task: runs <task>"),
                gettext("cancel <run> - end a run"),
                gettext("answer <code> run, all or skip - decide about missed times"),
                gettext("approve <code>, deny <code> <reason> - decide what waits for you"),
                gettext("ack, ack <code> - say that you have it, so that nobody else is told"),
                gettext(
                    "mute <name> <for> - hear nothing of a task or an alert here for a while: mute pump 2h"
                ),
                gettext("unmute <name>, mutes - hear it again; what is muted here"),
                gettext("remember <what> - what the assistant is to keep to; notes - what it remembers"),
                gettext("new conversation, forget conversation - begin anew; delete what was said"),
                gettext("stop - stop everything, now (or: stop freeze, stop cut, stop read only)"),
                gettext("pair <code> - be known here, with the code from the page Platforms"),
                gettext("help - this list"),
            ]
        )


def unknown_text(language: str) -> str:
    with override(language):
        return gettext("I do not know this word. Write help to see what I understand.")


def failed_text(language: str) -> str:
    with override(language):
        return gettext("This did not work; the box's log says why.")


def spent_text(language: str) -> str:
    with override(language):
        return gettext("This button has done its work, or is too old.")


def paired_text(language: str, name: str) -> str:
    with override(language):
        return gettext("You are %(name)s here now. Write help to see what I understand.") % {"name": name}


def not_paired_text(language: str) -> str:
    with override(language):
        return gettext("This code is not valid. Make a new one on the page Platforms.")
