"""A long text that goes with a message, such as what a command said: under the message, or as a file. Pure."""

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.files import LARGEST
from appliance.bridges.messages import Attachment
from appliance.bridges.text import measure

FILE_NAME = "log.txt"
MEDIA_TYPE = "text/plain; charset=utf-8"


def placed(
    text: str, title: str, attached: str, capabilities: Capabilities, name: str = FILE_NAME
) -> tuple[str, tuple[Attachment, ...]]:
    """The message's text, and the file where there is one.

    Both stand in one message where the platform takes them so; otherwise the long text is a file. A platform that takes
    no such file gets the text in parts, as far as there are any: better its beginning than nothing.
    """
    attached = attached.strip("\n")
    if not attached.strip():
        return text, ()
    whole = f"{text.strip()}\n\n{attached}".strip()
    with_title = f"{title}\n{whole}" if title else whole
    content = attached.encode("utf-8", "replace")
    fits = measure(with_title, capabilities.unit) <= capabilities.text_limit
    if fits or len(content) > min(capabilities.attachment_limit, LARGEST):
        return whole, ()
    return text, (Attachment(name, MEDIA_TYPE, content),)
