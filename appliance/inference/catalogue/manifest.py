"""What the box knows of one version of a model: ``manifest.json`` beside its files. It never changes once written."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from appliance.inference.domain import ModelFormat
from appliance.lib.digest import sha256_hex

NAME = r"^[a-z0-9][a-z0-9._-]{0,99}$"


class ModelFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Below the version's folder, with ``/``."""
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


LeftOut = tuple[tuple[str, str], ...]
"""Files beside a model that were not taken, each with the reason."""


class Shape(BaseModel):
    """What a model takes of memory by each token that it remembers; None where its files do not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None


class Manifest(BaseModel):
    """``<models>/<name>/<version>/manifest.json``. ``digest`` names the content: the same files, the same digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    version: str = Field(pattern=NAME)
    format: ModelFormat
    files: tuple[ModelFile, ...] = Field(min_length=1)
    main: str
    """The file that an engine is given (``model.gguf``), or ``.`` for a whole folder."""
    architecture: str = ""
    parameters: int | None = None
    quantisation: str = ""
    """``F16``, ``Q4_K_M``, ``nvfp4``; empty where nothing says."""
    context: int | None = None
    """Tokens that the model was made for."""
    shape: Shape = Shape()
    chat_template: bool = False
    tools: bool = False
    """Whether its chat template knows tools."""
    embeddings: bool = False
    """Whether it gives vectors, not text."""
    licence: str = ""
    source: str = ""
    """Where it came from: a URL or a folder; of a quantised one the name and digest of what it was made of."""
    added_at: datetime

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over the paths and digests of all files, sorted by path."""
        return sha256_hex(
            "".join(f"{f.sha256}  {f.path}\n" for f in sorted(self.files, key=lambda f: f.path))
        )
