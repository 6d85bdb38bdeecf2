"""The vocabulary of agents as people read it."""

from django.utils.translation import gettext_lazy as _

from appliance.agent.domain import Mode
from appliance.agent.explaining.domain import Stays, Undo
from appliance.agent.loop.story import Fate
from webadmin.words import Text, Word

FATES: dict[Fate, Word] = {
    Fate.DONE: Word(_("done"), "ok"),
    Fate.HANDED_OVER: Word(_("handed over"), "wait"),
    Fate.FAILED: Word(_("failed"), "bad"),
    Fate.DENIED: Word(_("denied"), "bad"),
    Fate.LAPSED: Word(_("nobody decided"), "off"),
    Fate.CANCELLED: Word(_("cancelled"), "off"),
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
    Undo.WAITS: Word(_("taking it back waits for a person"), "wait"),
    Undo.UNDER_WAY: Word(_("being taken back"), "busy"),
    Undo.DONE: Word(_("taken back"), "off"),
    Undo.FAILED: Word(_("taking it back failed"), "bad"),
}
"""Whether what a call did can be taken back, where there is something to say."""

LEFT = Word(_("not taken back: a person said no"), "off")
"""In the place of the failure where somebody denied it."""

STAYS: dict[Stays, Text] = {
    Stays.NO_WAY: _("Its task does not say how it is taken back."),
    Stays.DOES_NOT_FIT: _("How its task takes it back does not fit what it was given."),
    Stays.SAFE_STATE: _("Its step keeps to a safe state: nothing of that is taken back."),
    Stays.ELSEWHERE: _("An earlier run did it, and there it is taken back:"),
}
"""Why nothing takes a call back."""
