"""One sentence of an error's body, whatever form the engine gives it."""

import json
from typing import Any

_LONGEST = 500


def sentence(status: int, body: bytes) -> str:
    """Of ``{"error": {"message": …}}``, ``{"error": "…"}``, ``{"message": …}``, ``{"detail": …}``; else of the text."""
    try:
        said = _said(json.loads(body))
    except ValueError:
        said = ""
    said = said or body[:200].decode("utf-8", "replace").strip()
    return said[:_LONGEST] or f"the engine answered with status {status}"


def _said(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    found = body.get("error") or body.get("message") or body.get("detail")
    if isinstance(found, dict):
        found = found.get("message")
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False) if found else ""
