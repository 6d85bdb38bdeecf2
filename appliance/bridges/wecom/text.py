"""Texts in which nothing comes alive.

WeCom's texts know links (``<a href>``), in groups mentions (``<@member>``), and its clients draw ``[Smile]`` as a
picture; there is no way to write these characters as themselves. A zero width space behind the first of them is seen
by nobody, and by no client taken for one of these.
"""

import re

UNSEEN = "\u200b"
_ALIVE = re.compile(r"<(?=/?[aA]\b|@)|\[(?=[^\[\]\s]{1,12}\])")


def inert(text: str) -> str:
    return _ALIVE.sub(lambda found: found[0] + UNSEEN, text)
