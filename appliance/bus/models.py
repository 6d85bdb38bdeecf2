"""The last value of each topic."""

from django.db import models

from appliance.bus.values import Quality


class TopicValue(models.Model):
    """One topic: what came last, when, how often. Written by `services.remember` only."""

    topic = models.TextField(primary_key=True)
    payload = models.BinaryField()
    """The first bytes, as they came."""
    size = models.IntegerField()
    """Bytes of the whole payload."""
    value = models.JSONField(null=True)
    quality = models.CharField(max_length=10, choices=[(q.value, q.value) for q in Quality])
    retained = models.BooleanField(default=False)
    at = models.DateTimeField()
    count = models.BigIntegerField(default=0)
    rate = models.FloatField(default=0)
    """Messages a second, smoothed over half a minute, as of ``at``."""

    class Meta:
        ordering = ["topic"]

    def __str__(self) -> str:
        return self.topic
