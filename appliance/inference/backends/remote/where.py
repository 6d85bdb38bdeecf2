"""Where somebody else serves a model: ``remote.json``, which is all that the box has of it."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from appliance.inference.errors import ModelRefused

REMOTE = "remote.json"
ALLOWED, AUTHORITIES = "MILLWRIGHT_REMOTE_MODELS", "MILLWRIGHT_REMOTE_MODELS_CA"


class Where(BaseModel):
    """``url`` is the root of an API in OpenAI's manner, without ``/v1``; ``model`` what it is called there; ``key`` the
    name of the box's secret that holds its key. The key itself never stands here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._/-]*)?$")
    model: str = Field(min_length=1, max_length=200)
    key: str = Field(default="", pattern=r"^([a-z][a-z0-9_.-]{0,99})?$")

    @field_validator("url")
    @classmethod
    def _root(cls, url: str) -> str:
        return url.rstrip("/").removesuffix("/v1").rstrip("/")

    @property
    def origin(self) -> str:
        """Scheme, host and port, in small letters."""
        return origin_of(self.url)


def read_where(file: Path) -> Where:
    """Raises ModelRefused."""
    try:
        return Where.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelRefused(
            f"{file} does not say where the model is",
            hint='{"url": "https://…", "model": "…", "key": "a secret"}',
        ) from error


def origin_of(url: str) -> str:
    """``models.example`` and ``https://models.example:443/v1`` are the same."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def allowed_origins(setting: str) -> frozenset[str]:
    """Those of the operator's list; without a scheme ``https`` is meant."""
    return frozenset(origin_of(item.strip()) for item in setting.split(",") if item.strip())
