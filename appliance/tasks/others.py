"""What the stored tasks have already, against which a file is looked at: what they call, start and answer to."""

from collections.abc import Iterator
from typing import Any

from django.db import connection

from appliance.tasks.addresses import Address, taken_by
from appliance.tasks.chains import Links, stored_links
from appliance.tasks.models import Task


def one_file_at_a_time() -> None:
    """Two that were looked at at once would both fit what is stored, and not each other. To the transaction's end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('millwright.tasks.apply'))")


def calls() -> dict[str, list[str]]:
    """What each calls, for the check against circles."""
    return {
        name: [step["task"] for step in stored.get("actions", []) if step.get("type") == "task"]
        for name, stored in _stored()
    }


def links() -> dict[str, Links]:
    """What each surely starts, for the check against endless rounds."""
    return {name: stored_links(stored) for name, stored in _stored()}


def addresses() -> dict[Address, str]:
    """To which of them each address of a webhook belongs."""
    return {address: name for name, stored in _stored() for address in taken_by(stored)}


def _stored() -> Iterator[tuple[str, dict[str, Any]]]:
    for task in Task.objects.select_related("current"):
        if task.current is not None:
            yield task.name, task.current.definition
