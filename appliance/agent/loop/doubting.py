"""What the box puts behind an answer that no row confirms, kept in English, in the language of who reads."""

import re

from django.utils.translation import gettext, gettext_noop

from appliance.lib.sentences import KnownAgain

_BEHIND = re.compile(r"\n\n\[Not confirmed: (.+)\.\]\Z", re.DOTALL)
_MISSED = "not everything was done: "
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
    if doubts == "it says that something was changed, and nothing was":
        return gettext("it says that something was changed, and nothing was")
    if not doubts.startswith(_MISSED):
        return doubts
    calls = "; ".join(map(_calls, doubts.removeprefix(_MISSED).split("; ")))
    return gettext("not everything was done: %(calls)s") % {"calls": calls}


def answer_said(text: str) -> str:
    """An answer with the box's word at its end in the language that is active; its own words stay as they are."""
    found = _BEHIND.search(text)
    if found is None:
        return text
    return f"{text[: found.start()]}\n\n[{gettext('Not confirmed: %(doubts)s.') % {'doubts': doubts_said(found[1])}}]"
