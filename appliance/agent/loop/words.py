"""A model's words where a person reads them: as nothing but words. Pure."""

import json
import re

from appliance.lib import unseen
from appliance.lib.unseen import without_unseen


def one_line(text: str, most: int) -> str:
    """No line of the box's own looks so, and no template is read in them."""
    seen = unseen.all_seen(without_unseen(text), lambda _: " ")
    return plain_words(" ".join(seen.split())).replace("“", '"').replace("”", '"')[:most]


def plain_words(text: str) -> str:
    """The text as nothing but text, where a template would be read."""
    return re.sub(r"\{(?=[{%#])", "{ ", text)


def all_seen(text: str) -> str:
    """JSON in which every character can be seen: what turns a line around or hides in it stands there by its number."""
    return unseen.all_seen(text, lambda one: json.dumps(one)[1:-1])
