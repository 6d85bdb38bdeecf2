"""What the box puts behind an answer that no row confirms, kept in English, in the language of who reads."""

import re

from django.utils.translation import gettext, gettext_noop

from appliance.lib.sentences import KnownAgain

_BEHIND = re.compile(r"\n\n\[(Not confirmed|Not done): (.+)\.\]\Z", re.DOTALL)
_CLAIMED = "it says that something was changed, and nothing was"
_HEADS = {
    f"{_CLAIMED}: ": gettext_noop("it says that something was changed, and nothing was: %(calls)s"),
    "not everything was done: ": gettext_noop("not everything was done: %(calls)s"),
    "not done: ": gettext_noop("not done: %(calls)s"),
}
_calls = KnownAgain(
    (
        gettext_noop("%(quoted)s failed"),
        gettext_noop("%(quoted)s was denied"),
        gettext_noop("%(quoted)s was not decided"),
        gettext_noop("%(quoted)s was ended with its run"),
        gettext_noop("%(quoted)s was not made"),
    )
)


def doubts_said(doubts: str) -> str:
    """What is not known again stays as it is."""
    if doubts == _CLAIMED:
        return gettext("it says that something was changed, and nothing was")
    for head, words in _HEADS.items():
        if doubts.startswith(head):
            return gettext(words) % {"calls": _calls_said(doubts.removeprefix(head))}
    return doubts


def _calls_said(calls: str) -> str:
    return "; ".join(map(_calls, calls.split("; ")))


def answer_said(text: str) -> str:
    """An answer with the box's word at its end in the language that is active; its own words stay as they are."""
    found = _BEHIND.search(text)
    if found is None:
        return text
    if found[1] == "Not done":
        said = gettext("Not done: %(calls)s.") % {"calls": _calls_said(found[2])}
    else:
        said = gettext("Not confirmed: %(doubts)s.") % {"doubts": doubts_said(found[2])}
    return f"{text[: found.start()]}\n\n[{said}]"
