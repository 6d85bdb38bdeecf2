"""What the files of a model say of themselves. Nothing is guessed: what they do not say is None or empty."""

import re

from pydantic import BaseModel, ConfigDict, Field

from appliance.inference.catalogue.manifest import LeftOut, Shape
from appliance.inference.domain import ModelFormat

_TOOLS = re.compile(r"\btools\b")
_PRINTABLE = re.compile(r"[^\w .+/:-]")
LONGEST_TEXT = 200


class Unreadable(Exception):
    """The file is not what it says, or nothing that this box takes. The message is a sentence without a full stop."""


class Facts(BaseModel):
    """As ``Manifest`` has them. ``left_out``: files beside the model that are not taken, each with the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: ModelFormat
    main: str
    files: tuple[str, ...] = Field(min_length=1)
    """Those that belong to the model, below its folder, with ``/``."""
    architecture: str = ""
    parameters: int | None = None
    quantisation: str = ""
    context: int | None = None
    shape: Shape = Shape()
    chat_template: bool = False
    tools: bool = False
    embeddings: bool = False
    licence: str = ""
    left_out: LeftOut = ()


def knows_tools(template: str) -> bool:
    """Whether a chat template looks at the tools of a request."""
    return bool(_TOOLS.search(template))


def plain_word(value: object) -> str:
    """A short text out of a file, fit to be shown; empty for anything else."""
    return _PRINTABLE.sub("", value)[:LONGEST_TEXT].strip() if isinstance(value, str) else ""


def whole(value: object, most: int = 1 << 40) -> int | None:
    """A number above 0 out of a file; the largest of a list (one for each layer); None for anything else."""
    if isinstance(value, list):
        value = max((one for one in value if isinstance(one, int)), default=None)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most else None


def head_size(given: int | None, width: int | None, heads: int | None) -> int | None:
    """As the files say it, else what follows from the width and the number of heads."""
    return given or (width // heads if width and heads else None)
