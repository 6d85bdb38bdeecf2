"""Sentences of the tests of models, which candidates and tries keep as English text: by these words they are known
again. Each `say()` with values in ``appliance/inference/acceptance`` stands here; a test looks."""

from django.utils.translation import gettext_noop

FIXED = (
    gettext_noop("it passed, but somebody has changed meanwhile what is served: serve it again"),
    gettext_noop("the tests themselves broke; the box's log says where"),
)

WITH_VALUES = (
    gettext_noop("its engine failed: %(why)s"),
    gettext_noop("it failed %(test)s: %(why)s"),
    gettext_noop("it failed %(test)s: %(why)s (also: %(more)s)"),
    gettext_noop("%(model)s is being tested already"),
    gettext_noop("of %(model)s no other version was served before"),
    gettext_noop("the engine broke off: %(kind)s"),
    gettext_noop("nothing came from the engine for %(seconds)s s"),
    gettext_noop("its answer had no end within %(seconds)s s"),
    gettext_noop("the engine refuses: %(why)s"),
    gettext_noop("%(tokens)d tokens in %(seconds).1f s, ended by %(finish)s"),
    gettext_noop("it was asked for %(most)d tokens, and gave %(given)d"),
    gettext_noop("%(good)d of %(whole)d tool calls fit their schema"),
    gettext_noop("the answer is no JSON: %(text)s"),
    gettext_noop("the answer does not fit: %(why)s"),
    gettext_noop("a prompt of about %(sent)d tokens is refused: %(why)s"),
    gettext_noop("a prompt of about %(sent)d tokens gets no answer"),
    gettext_noop("of a prompt of about %(sent)d tokens it has read %(taken)d, and says nothing of that"),
    gettext_noop("%(taken)d of %(context)d tokens are taken and answered"),
    gettext_noop("a longer one is refused: %(why)s"),
    gettext_noop("a longer one gets status %(status)d, which is no refusal"),
    gettext_noop("one of about %(sent)d tokens is taken without a word"),
    gettext_noop("%(name)s.yaml: %(good)d of %(whole)d answers are as they have to be"),
    gettext_noop("it says: %(text)s"),
    gettext_noop("it obeys %(obeyed)d of %(whole)d instructions in data"),
    gettext_noop("vectors of %(size)d numbers; what is near is nearer"),
    gettext_noop("it gives %(given)d vectors for %(asked)d texts"),
    gettext_noop("its vectors have %(sizes)s numbers"),
)
