"""What a server of tools says, before anything of the box takes it in. Pure."""

import re

from appliance.agent.loop.outside import bounded
from appliance.inference.control_tokens import without_control_tokens
from appliance.lib.plain import plain_text
from appliance.lib.unseen import all_seen, without_unseen

WORD = re.compile(r"[A-Za-z0-9_.$-]{1,64}")
"""What a tool or an argument may be called: nothing that could be read as a sentence of somebody."""
LONGEST_SAY = 1_000


def clean(text: str, most: int = LONGEST_SAY) -> str:
    """A server's words: bounded, printable, and unable to speak for anybody."""
    seen = all_seen(without_unseen(plain_text(text)), lambda _: " ", but="\n")
    return bounded(without_control_tokens(seen).strip(), most)
