"""What comes from outside, as a model is given it: between marks, and bounded. Pure.

Words by which chat templates mark who speaks are taken out where the question is made (``inference.asking.Question``).
"""

HEAD_SHARE = 0.6


def bounded(text: str, most: int) -> str:
    """Head and tail of a text that is longer than ``most`` characters, with how much was left out between."""
    if len(text) <= most:
        return text
    head = int(most * HEAD_SHARE)
    left = len(text) - most
    return f"{text[:head]}\n… {left:,} characters left out …\n{text[len(text) - (most - head) :]}"


def marked(text: str, boundary: str, of: str) -> str:
    """The text as data: nobody outside knows the boundary, which is new in each turn."""
    return f"[data {boundary} {of}]\n{text.replace(boundary, '')}\n[end of data {boundary}]"
