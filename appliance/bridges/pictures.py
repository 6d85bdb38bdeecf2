"""The charts that went with the messages of a run, whatever platform they went to."""

from uuid import UUID

from appliance.bridges.illustrating import chart_id, moment_of
from appliance.bridges.models import ChatFile
from appliance.outbox.services import of_run


def pictures_of(run_id: UUID) -> list[UUID]:
    """The files that are pictures, in the order of the messages. Those not yet made are not there yet."""
    wanted = []
    for item in of_run(run_id):
        chart = item.message.get("chart")
        at = moment_of(chart) if isinstance(chart, dict) else None
        if at is not None:
            wanted.append(chart_id(item.key, at))
    made = (
        ChatFile.objects.filter(pk__in=wanted, media_type="image/png") if wanted else ChatFile.objects.none()
    )
    there = set(made.values_list("pk", flat=True))
    return [one for one in wanted if one in there]


def picture_of(run_id: UUID, identifier: UUID) -> ChatFile | None:
    """One of them; None for a file that is not."""
    return ChatFile.objects.filter(pk=identifier).first() if identifier in pictures_of(run_id) else None
