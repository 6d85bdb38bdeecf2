"""When the doctor looks by itself."""

from django_celery_beat.models import IntervalSchedule, PeriodicTask

ROUNDS = "millwright: the doctor looks, each hour"


def ensure_rounds() -> None:
    """Beat's row for it. Kept as it is where somebody has switched it off or given it another pace."""
    hourly = IntervalSchedule.objects.filter(every=1, period="hours").first()
    PeriodicTask.objects.get_or_create(
        name=ROUNDS,
        defaults={
            "task": "ops.look",
            "interval": hourly or IntervalSchedule.objects.create(every=1, period="hours"),
        },
    )
