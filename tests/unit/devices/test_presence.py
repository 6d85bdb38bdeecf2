"""Whose a topic is."""

from datetime import timedelta

import pytest

from appliance.devices.domain import check_silence
from appliance.devices.errors import DeviceRefused
from appliance.devices.presence import Owners

OWNERS = Owners(
    {
        "press": ["devices/press/#", "plant/press/#", "plant/shared/#"],
        "pump": ["devices/pump/#", "plant/shared/+"],
    }
)


@pytest.mark.parametrize(
    ("topic", "owner"),
    [
        ("devices/press/temp", "press"),
        ("devices/pump", "pump"),
        ("devices/stranger/temp", None),
        ("plant/press/a/b", "press"),
        ("plant/shared/x", None),
        ("plant/shared/x/y", "press"),
        ("plant/other", None),
    ],
)
def test_a_topic_belongs_to_the_only_device_that_may_publish_to_it(topic: str, owner: str | None) -> None:
    assert OWNERS.of(topic) == owner
    assert OWNERS.of(topic) == owner


@pytest.mark.parametrize("seconds", [0, 4, 31 * 86400])
def test_a_silence_that_cannot_be_watched_is_refused(seconds: int) -> None:
    with pytest.raises(DeviceRefused, match="cannot be watched"):
        check_silence(timedelta(seconds=seconds))
