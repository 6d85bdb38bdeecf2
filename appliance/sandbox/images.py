"""Names of images, pinned to what is in them. Only digests ever reach the container engine."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.safety.read_only import refuse_changes
from appliance.sandbox.docker.closed import IMAGE
from appliance.sandbox.errors import ImageRefused
from appliance.sandbox.models import ImagePin

NAME = r"[a-z0-9][a-z0-9._/:-]{0,199}"
REFERENCE = rf"(?:{NAME}|{IMAGE.strip('^$')})"
"""What a task may write: a pinned name, or a digest."""

_READ = "SELECT digest FROM sandbox_imagepin WHERE name = %s"
_HINT = "Its id is what `docker image inspect --format '{{.Id}}' IMAGE` says."


@transaction.atomic
def pin(name: str, digest: str, by: Principal, now: datetime, home: Path | None = None) -> None:
    """Let ``name`` stand for the image with that digest. Raises NotAllowed, ImageRefused, ReadOnlyNow."""
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by, home)
    if not re.fullmatch(NAME, name) or re.fullmatch(IMAGE, name):
        raise ImageRefused(f"{name!r} cannot be the name of an image.", hint="Such as tools or debian:12.")
    if not re.fullmatch(IMAGE, digest):
        raise ImageRefused(f"{digest!r} is not a digest: sha256: and 64 digits.", hint=_HINT)
    ImagePin.objects.update_or_create(
        name=name, defaults={"digest": digest, "pinned_at": now, "pinned_by": by.name}
    )
    append_here("image.pinned", by.name, f"image/{name}", {"digest": digest})


@transaction.atomic
def unpin(name: str, by: Principal, home: Path | None = None) -> None:
    """Let ``name`` stand for nothing. Raises NotAllowed, ImageRefused, ReadOnlyNow."""
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by, home)
    deleted, _ = ImagePin.objects.filter(name=name).delete()
    if not deleted:
        raise ImageRefused(f"There is no image pinned as {name!r}.")
    append_here("image.unpinned", by.name, f"image/{name}", {})


def pins() -> list[ImagePin]:
    return list(ImagePin.objects.all())


async def digest_of(connection: AsyncConnection[Any], reference: str) -> str:
    """The digest that a task's ``image`` means now. Raises ImageRefused."""
    if re.fullmatch(IMAGE, reference):
        return reference
    cursor = await connection.cursor(row_factory=tuple_row).execute(_READ, (reference,))
    row = await cursor.fetchone()
    if row is None:
        raise ImageRefused(
            f"No image is pinned as {reference!r}.",
            hint=f"An administrator pins one: `manage.py images pin {reference} sha256:…`",
        )
    return str(row[0])
