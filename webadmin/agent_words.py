"""The vocabulary of agents as people read it."""

from django.utils.translation import gettext_lazy as _

from appliance.agent.domain import Mode
from appliance.agent.explaining.domain import Undo
from appliance.agent.loop.story import Fate
from webadmin.words import Text, Word

FATES: dict[Fate, Word] = {
    Fate.DONE: Word(_("done"), "ok"),
    Fate.HANDED_OVER: Word(_("handed over"), "wait"),
    Fate.FAILED: Word(_("failed"), "bad"),
    Fate.DENIED: Word(_("denied"), "bad"),
    Fate.REFUSED: Word(_("not taken"), "off"),
    Fate.HELD_BACK: Word(_("held back"), "off"),
    Fate.NOTED: Word(_("noted"), "off"),
    Fate.UNDER_WAY: Word(_("to come"), "off"),
}
"""What became of a call (appliance/agent/loop/story.py)."""

ASKED = Word(_("waits for a person"), "wait")
RUNNING = Word(_("under way"), "busy")

MODES: dict[Mode, tuple[Text, Text]] = {
    Mode.WATCH: (_("watches"), _("It has tools that only read.")),
    Mode.PROPOSE: (_("proposes"), _("A person is asked before whatever may change something.")),
    Mode.ACT: (_("acts"), _("The policy decides what it may do by itself.")),
    Mode.SHADOW: (_("in the shadow"), _("What may change something is not done, only written down.")),
}
"""The mode of an agent, and what that means."""

UNDOS: dict[Undo, Word] = {
    Undo.NONE: Word(_("no way back"), "off"),
    Undo.UNDER_WAY: Word(_("being taken back"), "busy"),
    Undo.DONE: Word(_("taken back"), "off"),
    Undo.FAILED: Word(_("taking it back failed"), "bad"),
}
"""Whether what a call did can be taken back, where there is something to say."""
