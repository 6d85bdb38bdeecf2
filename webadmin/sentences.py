"""Sentences that other layers made in English, in the reader's language."""

from django.utils.translation import gettext

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
