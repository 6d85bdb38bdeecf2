"""Taking secret values out of texts before they are stored, shown or sent to a model."""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "•••"
SHORTEST = 4
"""A shorter value would take half of every text with it; such secrets are refused when they are set."""


def redact(text: str, values: Iterable[str]) -> str:
    """``text`` with every form of every value replaced: plain, URL-encoded, as JSON text, in base64."""
    for form in sorted(_forms(values), key=len, reverse=True):
        if form in text:
            text = text.replace(form, MASK)
    return text


def _forms(values: Iterable[str]) -> set[str]:
    forms: set[str] = set()
    for value in values:
        if len(value) < SHORTEST:
            continue
        raw = value.encode("utf-8", "replace")
        encoded = base64.b64encode(raw).decode()
        forms |= {
            value,
            quote(value, safe=""),
            quote_plus(value),
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            encoded,
            encoded.replace("+", "-").replace("/", "_"),
        }
    return forms
