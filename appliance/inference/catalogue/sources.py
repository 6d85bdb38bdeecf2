"""Where a model can come from: a folder or a file of this box, a URL, a git repository."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.inference.catalogue.outside import checked
from appliance.inference.errors import ModelRefused


class SourceKind(StrEnum):
    LOCAL = "local"
    HTTP = "http"
    GIT = "git"


@dataclass(frozen=True, slots=True)
class Source:
    """``text``: the path, or the URL without ``git+``."""

    kind: SourceKind
    text: str


def read_source(text: str) -> Source:
    """``/folder``, ``https://…/model.gguf``, ``git+https://…`` or ``https://….git``. Raises ModelRefused."""
    given = text.strip()
    plain = given.removeprefix("git+")
    if plain.startswith(("http://", "https://")):
        url = checked(plain)
        is_git = plain != given or url.path.endswith(".git")
        return Source(SourceKind.GIT if is_git else SourceKind.HTTP, plain)
    if "://" in given or plain != given:
        raise ModelRefused(
            "that is no source of models",
            hint="a folder, a .gguf file, http(s)://….gguf, or git+https://… for a repository",
        )
    path = Path(given).expanduser()
    if not path.exists():
        raise ModelRefused(f"there is no {path}")
    return Source(SourceKind.LOCAL, str(path.resolve()))
