"""Words for templates of chats."""

import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from appliance.lib.config import get_config

register = template.Library()
_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]}]")
_PATH = re.compile(r"/(?![/])[A-Za-z0-9_./~%+=&:@?#-]*")
"""What browsers read as a place on this box: with a backslash, or two strokes, it would be one elsewhere."""


@register.filter
def linked(text: str) -> SafeString:
    """The text with addresses of this box's own pages to follow; others lead out of it, and stay words."""
    parts: list[SafeString] = []
    end = 0
    for found in _ADDRESS.finditer(text):
        path = _own_page(found[0])
        if path:
            parts += [
                format_html("{}", text[end : found.start()]),
                format_html('<a href="{}">{}</a>', path, found[0]),
            ]
            end = found.end()
    return format_html_join("", "{}", ((one,) for one in (*parts, text[end:])))


def _own_page(address: str) -> str:
    """Where it leads on this box; empty for every other place."""
    own = get_config().public_url.rstrip("/")
    if not own or not address.startswith(f"{own}/"):
        return ""
    path = address[len(own) :]
    return path if _PATH.fullmatch(path) else ""
