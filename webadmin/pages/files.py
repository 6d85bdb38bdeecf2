"""Kept files on their way to a browser: pictures are shown, everything else is saved."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from appliance.bridges.models import ChatFile

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def sent(kept: ChatFile) -> HttpResponse:
    """A kept file never changes. Whatever is in it, a browser takes it for nothing but what it is called."""
    shown = kept.media_type in PICTURES
    answer = HttpResponse(
        bytes(kept.content), content_type=kept.media_type if shown else "application/octet-stream"
    )
    disposition = content_disposition_header(not shown, kept.name)
    if disposition:
        answer["Content-Disposition"] = disposition
    answer["Cache-Control"] = "private, max-age=86400, immutable"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
