"""How a stored secret is named: ``secret:NAME``. Pure."""

import re

PREFIX = "secret:"
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
REFERENCE = rf"^{PREFIX}{NAME}$"
"""A whole text that names a secret, for fields that take nothing else."""

_WHOLE = re.compile(rf"{PREFIX}({NAME})")
_BEHIND = re.compile(rf"\S+ {PREFIX}({NAME})")


def is_reference(text: str) -> bool:
    """Whether a setting is ``secret:NAME`` rather than the value itself."""
    return text.startswith(PREFIX)


def named_by(text: str, *, behind_a_word: bool = False) -> str | None:
    """The name, where the whole text is a reference; with ``behind_a_word`` also in ``Bearer secret:NAME``."""
    found = _WHOLE.fullmatch(text) or (_BEHIND.fullmatch(text) if behind_a_word else None)
    return found[1] if found else None
