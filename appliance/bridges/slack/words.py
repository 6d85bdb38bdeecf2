"""What a person wrote, from Slack's markup: docs.slack.dev/messaging/formatting-message-text."""

import re

_MENTIONS = re.compile(r"\s*(?:<@[^<>]*>[\s,:，：]*)+")
_MARK = re.compile(r"<([^<>]*)>")


def readable(text: str) -> str:
    """``<@U1> run pump.main`` with a link made of ``pump.main`` is ``run pump.main``.

    Mentions at the beginning call the app and say nothing; elsewhere a mark becomes what people see.
    """
    mentions = _MENTIONS.match(text)
    rest = _MARK.sub(_shown, text[mentions.end() :] if mentions else text)
    return rest.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _shown(mark: re.Match[str]) -> str:
    what, _, label = mark[1].partition("|")
    if what[:1] in ("@", "#"):
        return f"{what[0]}{label or what[1:]}"
    if what[:1] == "!":
        return label or f"@{what[1:]}"
    return label or what
