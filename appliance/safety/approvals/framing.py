"""What the box puts around what somebody decides on, kept in English: said in the language of whoever reads it.

What an agent or a person said themselves, and what would be done, stays as it is.
"""

import re

from django.utils.translation import gettext_noop

from appliance.lib.sentences import KnownAgain

WITH_VALUES = (
    gettext_noop("%(word)s; it says: “%(quoted)s”"),
    gettext_noop("%(word)s (%(number)s of %(whole)s in its plan)"),
    gettext_noop("%(why)s (rule %(quoted)s)"),
    gettext_noop("the approval is void, for the second time: %(why)s"),
    gettext_noop("this agent only reads, and here the command may do more: %(quoted)s"),
)
FIXED = (
    gettext_noop("an agent proposes this"),
    gettext_noop("an agent that has read what came from outside wants this"),
    gettext_noop("it could send to another program what it has read outside"),
    gettext_noop("it could send to an address of its own what it has read outside"),
    gettext_noop("the policy asks for a person's word"),
    gettext_noop("the policy does not allow it"),
    gettext_noop("the approval came too long ago"),
    gettext_noop("what was asked is void"),
    gettext_noop("what was asked about has changed"),
    gettext_noop("its run has ended"),
)
"""Those without values."""

_PLAN = (
    gettext_noop("An agent proposes %(quoted_number)s steps: %(quoted)s"),
    gettext_noop("An agent proposes %(quoted_number)s steps."),
)
_STEPS = (gettext_noop("%(quoted_call)s (it says: “%(quoted)s”)"),)
_BEGINS = re.compile(r"An agent proposes \d+ steps[.:]")
_STEP = re.compile(r"\d+\. ")

why_said = KnownAgain(WITH_VALUES)
"""Why somebody is asked, or is not any more."""
_plan_said, _step_said = KnownAgain(_PLAN), KnownAgain(_STEPS)


def shown_said(shown: str) -> str:
    """What an approver is shown. Only of an agent's plan some of it is the box's own sentence; each of its lines that
    begins at the margin is one of ours."""
    first, *steps = shown.split("\n")
    if _BEGINS.match(first) is None:
        return shown
    return "\n".join([_plan_said(first), *(_step_said(one) if _STEP.match(one) else one for one in steps)])
