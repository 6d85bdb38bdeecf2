"""Sentences that other layers made in English, in the reader's language."""

from appliance.lib.sentences import KnownAgain, in_language
from appliance.processes import run_reasons
from appliance.safety.approvals import framing
from webadmin import acceptance_sentences, kept_sentences, model_sentences

__all__ = ["in_language", "kept"]

kept = KnownAgain(
    (
        *kept_sentences.WITH_VALUES,
        *model_sentences.WITH_VALUES,
        *acceptance_sentences.WITH_VALUES,
        *run_reasons.WITH_VALUES,
        *framing.WITH_VALUES,
    )
)
"""Of a sentence that a row has kept as text, with its hint; what is not known again stays as it is."""
