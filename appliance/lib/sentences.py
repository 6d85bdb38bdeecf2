"""Sentences that were made in English, in the language of whoever reads them."""

from django.utils.translation import gettext

from appliance.lib.errors import MillwrightError
from appliance.lib.said import Said


def in_language(text: str) -> str:
    """The same sentence in the language that is active; text that nobody made as a sentence stays as it is."""
    if not isinstance(text, Said):
        return text
    words = gettext(text.words)
    if not text.values:
        return words
    return words % {
        name: in_language(value) if isinstance(value, str) else value for name, value in text.values.items()
    }


def sentence_of(error: MillwrightError) -> str:
    """What went wrong, with its hint, in the language that is active."""
    said = in_language(error.message)
    return f"{said} ({in_language(error.hint)})" if error.hint else said
