"""What people read of a storm, in their language, and what an operator may say of it."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from appliance.bridges.digests import in_words, rule_of
from appliance.bridges.ports import PlatformConfig
from appliance.bridges.registry import bridges
from appliance.lib.jsontypes import JsonValue
from appliance.outbox.ports import Digest, DigestRule

SINCE = datetime(2026, 11, 28, 10, 3, 12, tzinfo=UTC)
NOW = SINCE + timedelta(hours=1)
ABOUT = "task/overheat/tell"


def test_a_digest_says_how_many_since_when_and_the_last_one_in_full() -> None:
    assert in_words(ABOUT, Digest(23, SINCE), "pump 7 is hot", NOW, "en") == (
        "23 messages about overheat/tell since 10:03:12 UTC; the last one:\npump 7 is hot"
    )
    assert in_words(ABOUT, Digest(1, SINCE), "pump 7 is hot", NOW, "en") == "pump 7 is hot"


def test_it_says_what_expired_and_the_day_where_that_is_another_one() -> None:
    said = in_words(
        "alert/locked-out", Digest(2, SINCE, expired=12), "at door 3", NOW + timedelta(days=1), "en"
    )
    assert said == (
        "2 messages about the alert locked-out since 2026-11-28 10:03:12 UTC; the last one:\nat door 3\n"
        "12 older ones expired before they could be sent."
    )
    assert in_words(ABOUT, Digest(1, SINCE, expired=1), "hot", NOW, "en").endswith(
        "1 older one expired before it could be sent."
    )


def test_it_speaks_the_language_of_whoever_reads_it() -> None:
    said = in_words("alert/locked-out", Digest(23, SINCE, expired=12), "7 号泵过热", NOW, "zh-hans")
    assert said == (
        "自 10:03:12 UTC 起，关于 告警 locked-out 的消息共 23 条；最后一条：\n7 号泵过热\n"
        "另有 12 条更早的消息在发出前已过期。"
    )


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, DigestRule(5, 60.0, True)),
        ({"digest": {"after": 2, "within": "30s"}}, DigestRule(2, 30.0, True)),
        ({"digest": False}, None),
    ],
)
def test_a_platform_says_when_a_storm_is_one(given: dict[str, JsonValue], rule: DigestRule | None) -> None:
    config = PlatformConfig.model_validate({"name": "telegram", **given})
    assert rule_of(config.digest, edits=True) == rule


@pytest.mark.parametrize("wrong", [True, {"after": 0}, {"within": "2h"}, {"within": "0s"}, {"many": 5}, "1m"])
def test_a_rule_that_means_nothing_is_refused(wrong: JsonValue) -> None:
    with pytest.raises(ValidationError):
        PlatformConfig.model_validate({"name": "telegram", "digest": wrong})


def test_only_the_loopback_tells_each_one_by_itself() -> None:
    without = {
        kind for kind, factory in bridges().items() if factory.config.model_fields["digest"].default.apart
    }
    assert without == {"loopback"}
