"""Characters that show nothing, turn others round, or are typed by nobody. Pure.

Whoever reads a text must read what is acted on. Which of these functions is the right one is a question of who reads:

- a model: ``without_unseen``, for what is not there for a person must not be there for it;
- a person, of what somebody else wrote: ``all_seen``, for what was hidden is a reason to say no;
- nobody yet, who may be told to write it otherwise: ``is_seen``, and a refusal;
- the box, of a sentence that was typed: ``is_typed``.
"""

import re
import unicodedata
from collections.abc import Callable

# The soft hyphen, joiners and fillers, blanks of other scripts, variation selectors, marks of direction, tags.
_SHOWS_NOTHING = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_TYPED_BY_NOBODY = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, directions, half pairs, other ends of lines."""


def without_unseen(text: str) -> str:
    """The text without characters that show nothing, or turn the others round. Other control characters stay."""
    return _SHOWS_NOTHING.sub("", text)


def is_seen(one: str) -> bool:
    """Whether this character shows what it is; of blanks only U+0020 does, and no end of a line."""
    return one.isprintable() and _SHOWS_NOTHING.match(one) is None


def all_seen(text: str, instead: Callable[[str], str], *, but: str = "") -> str:
    """The text with something else for each character that is not seen, except for those in ``but``."""
    if text.isprintable() and _SHOWS_NOTHING.search(text) is None:
        return text
    return "".join(one if one in but or is_seen(one) else instead(one) for one in text)


def is_typed(text: str) -> bool:
    """Whether somebody can have typed it as one line. Signs that are drawn in colour (U+FE0F) are typed."""
    return all(unicodedata.category(one) not in _TYPED_BY_NOBODY for one in text)
