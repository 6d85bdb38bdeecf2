"""The last value of each topic, what could not be handled, and the brokers beside the box's own."""

from django.db import models

from appliance.bus.places import split_place
from appliance.bus.values import HEAD_BYTES, Quality


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
    age_known = models.BooleanField(default=True, db_default=True)
    """False: the broker had kept it, and ``at`` is when we were told."""
    count = models.BigIntegerField(default=0)
    rate = models.FloatField(default=0)
    """Messages a second, smoothed over half a minute, as of ``at``."""

    class Meta:
        ordering = ["topic"]

    def __str__(self) -> str:
        return self.topic

    @property
    def broker(self) -> str:
        """The further broker that it stands on; empty for the box's own."""
        return split_place(self.topic)[0]

    @property
    def name(self) -> str:
        """The topic alone."""
        return split_place(self.topic)[1]


class SetAside(models.Model):
    """A message that no try could handle, as it came. Written by `aside.Aside` only."""

    broker = models.CharField(max_length=24, blank=True)
    """The further broker that it came from; empty for the box's own."""
    topic = models.TextField()
    payload = models.BinaryField()
    size = models.IntegerField()
    """Bytes of the payload."""
    reason = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.topic} {self.at:%F %T}"

    @property
    def text(self) -> str:
        """The first bytes of the payload, for a person."""
        return bytes(self.payload)[:HEAD_BYTES].decode(errors="replace")


class Broker(models.Model):
    """One further broker (`brokers.domain.BrokerSpec`). Written by `brokers.services` only."""

    name = models.CharField(max_length=24, primary_key=True)
    url = models.CharField(max_length=500)
    username = models.CharField(max_length=300, blank=True)
    password = models.CharField(max_length=120, blank=True)
    """``secret:NAME``; never the password itself."""
    ca = models.CharField(max_length=300, blank=True)
    verify = models.BooleanField(default=True)
    client_id = models.CharField(max_length=100, blank=True)
    filters = models.JSONField(default=list)
    prefix = models.CharField(max_length=300, blank=True)
    enabled = models.BooleanField(default=True)
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
