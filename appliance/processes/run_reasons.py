"""Why runs ended, as their rows keep it in English: by these words it is known again where people read it."""

from django.utils.translation import gettext_noop

from appliance.lib.sentences import KnownAgain

WITH_VALUES = (
    gettext_noop("step %(step)s: %(why)s"),
    gettext_noop("cancelled by %(who)s"),
    gettext_noop("it made no progress in %(turns)s turns: %(why)s"),
    gettext_noop("denied, and nobody is there to ask: %(why)s"),
    gettext_noop("calls were denied in %(turns)s turns: nobody is asked any more"),
    gettext_noop("its budget of %(most)s steps is used up, and it gave no answer"),
    gettext_noop("its budget of %(most)s tokens is used up, and it gave no answer"),
    gettext_noop("its budget of %(most)s s of work is used up, and it gave no answer"),
    gettext_noop("the answer is no JSON: %(why)s"),
    gettext_noop("it is no JSON: %(why)s"),
    gettext_noop("cancelled by user:%(quoted)s"),
    gettext_noop("no answer after %(seconds)s s"),
)
FIXED = (
    gettext_noop("it called nothing"),
    gettext_noop("it is no JSON"),
    gettext_noop("too many calls: the budget of steps has no room for it"),
    gettext_noop("too many calls in one turn: call it in the next one"),
    gettext_noop("this agent only watches: it may call what reads"),
    gettext_noop("there are no more tools"),
    gettext_noop("this very call was denied before: it is not asked for again"),
    gettext_noop("nobody decided about this very call before: it is not asked for again"),
    gettext_noop("this very call was made twice already: a third time brings nothing new"),
    gettext_noop("it is no JSON object"),
    gettext_noop("it neither calls a tool nor is done"),
    gettext_noop("the keeper of models does not answer"),
    gettext_noop("the keeper of models went away"),
)
"""Those without values."""

said = KnownAgain(WITH_VALUES)
