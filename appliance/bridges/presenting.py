"""From a message to the parts that a platform takes. What it cannot carry is left out, and the text says so. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.messages import Attachment, Button, ChatMessage
from appliance.bridges.text import split


@dataclass(frozen=True, slots=True)
class Part:
    """What goes out in one call: a text, or an attachment. ``title`` stands above the text and is not in it.

    ``number`` is its place in the message, from 0; who carries the parts counts them.
    """

    text: str
    title: str = ""
    buttons: tuple[Button, ...] = ()
    attachment: Attachment | None = None
    number: int = 0

    @property
    def whole(self) -> str:
        """For a platform without titles of its own."""
        return f"{self.title}\n{self.text}" if self.title else self.text


def present(message: ChatMessage, capabilities: Capabilities) -> list[Part]:
    """The parts in their order, the buttons under the last text. None for a message that says nothing.

    The parts are the same at every attempt, so that those which arrived are known by their number.
    """
    carried, left_out = _sorted_out(message.attachments, capabilities.attachment_limit)
    text = message.text.strip()
    if left_out:
        text = "\n".join([text, *(f"[{one.name}, {_size(one)}: not sent]" for one in left_out)]).strip()
    if not text:
        return [Part("", attachment=one) for one in carried]
    title = " ".join(message.title.split())
    heading = f"{title}\n" if title else ""
    texts = split(heading + text, capabilities.text_limit, capabilities.unit)
    parts = [Part(one) for one in texts]
    if heading and texts[0].startswith(heading):
        parts[0] = Part(texts[0][len(heading) :], title)
    parts[-1] = replace(parts[-1], buttons=_buttons(message.buttons, capabilities))
    return parts + [Part("", attachment=one) for one in carried]


def _buttons(buttons: Sequence[Button], capabilities: Capabilities) -> tuple[Button, ...]:
    limit = capabilities.label_limit
    return tuple(
        one if len(one.label) <= limit else replace(one, label=f"{one.label[: limit - 1]}…")
        for one in buttons[: capabilities.buttons]
    )


def _sorted_out(given: Sequence[Attachment], limit: int) -> tuple[list[Attachment], list[Attachment]]:
    carried = [one for one in given if 0 < len(one.content) <= limit]
    return carried, [one for one in given if one not in carried]


def _size(attachment: Attachment) -> str:
    kib = len(attachment.content) / 1024
    return f"{kib:.0f} KiB" if kib < 1024 else f"{kib / 1024:.1f} MiB"
