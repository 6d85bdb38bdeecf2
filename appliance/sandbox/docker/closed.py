"""The words that guard's requests are made of: whatever is in none of them is not taken."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from appliance.sandbox.ports import FILE_NAME

DIGEST = r"sha256:[0-9a-f]{64}"
IMAGE = rf"^(?:[a-z0-9][a-z0-9._/:-]{{0,200}}@)?{DIGEST}$"
"""An image by what is in it: its id, or a repository's digest. A tag can be moved to another image."""


def plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _normal(path: str) -> str:
    if not path.startswith("/") or any(part in (".", "..") for part in path.split("/")):
        raise ValueError("must be an absolute path without . and ..")
    return plain(path)


Text = Annotated[str, AfterValidator(plain)]
FileName = Annotated[str, StringConstraints(pattern=FILE_NAME)]
Place = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_normal)]
ImageName = Annotated[str, StringConstraints(pattern=IMAGE)]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
