"""What tokens used, and what they may: as the database keeps it."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.accounts.tokens import issue_api_token
from appliance.audit.models import AuditRecord
from appliance.inference.errors import ModelRefused
from appliance.inference.gateway.ledger import add, standing, tell_hours
from appliance.inference.gateway.meter import Counts, Limit
from appliance.inference.gateway.quotas import list_quotas, remove_quota, set_quota, used_on
from tests.visitor import PASSWORD

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
DAY = NOW.date()
ANN, OPERATOR = "token:ann/bot", "role:operator"


def told(kind: str) -> list[Any]:
    return [json.loads(record.body) for record in AuditRecord.objects.filter(kind=kind).order_by("seq")]


def test_every_process_adds_to_the_same_day() -> None:
    assert add([(ANN, DAY, Counts(1, 5, 7))], NOW) == {ANN: Counts(1, 5, 7)}
    more = add([("token:eve/x", DAY, Counts(1)), (ANN, DAY, Counts(2, 1, 1, 1))], NOW)
    assert more[ANN] == Counts(3, 6, 8, 1)
    assert standing(ANN, OPERATOR, DAY) == (Limit(), Counts(3, 6, 8, 1))
    assert standing(ANN, OPERATOR, DAY + timedelta(days=1)) == (Limit(), Counts())
    assert [one.token for one in used_on(DAY)] == [ANN, "token:eve/x"]


def test_an_hour_is_put_on_record_once_and_after_it_is_over() -> None:
    add([(ANN, DAY, Counts(2, 5, 7))], NOW)
    tell_hours(NOW + timedelta(minutes=20))
    assert told("model.used") == []
    tell_hours(NOW + timedelta(minutes=31))
    tell_hours(NOW + timedelta(minutes=32))
    [record] = told("model.used")
    assert record["principal"] == ANN
    assert record["detail"]["requests"] == 2
    assert record["detail"]["generated_tokens"] == 7
    add([(ANN, DAY, Counts(1, 1, 1))], NOW + timedelta(minutes=40))
    tell_hours(NOW + timedelta(minutes=95))
    assert [one["detail"]["requests"] for one in told("model.used")] == [2, 1]


def test_a_tokens_own_limit_counts_before_that_of_its_role() -> None:
    ann = create_user("ann", PASSWORD, Role.OPERATOR, BOX)
    issue_api_token(ann, "bot", [Ability.USE_MODELS], BOX, NOW)
    set_quota(OPERATOR, Limit(tokens=100), BOX, NOW)
    assert standing(ANN, OPERATOR, DAY)[0] == Limit(None, 100)
    set_quota(ANN, Limit(requests=5), BOX, NOW)
    assert standing(ANN, OPERATOR, DAY)[0] == Limit(5, None)
    set_quota(ANN, Limit(requests=6), BOX, NOW)
    assert [(one.subject, one.requests) for one in list_quotas()] == [(OPERATOR, None), (ANN, 6)]
    assert remove_quota(ANN, BOX)
    assert not remove_quota(ANN, BOX)
    assert standing(ANN, OPERATOR, DAY)[0] == Limit(None, 100)
    assert len(told("model.quota")) == 4


@pytest.mark.parametrize("subject", ["token:ann/gone", "role:king", "ann", "user:ann"])
def test_nobody_who_is_not_there_is_limited(subject: str) -> None:
    with pytest.raises(ModelRefused):
        set_quota(subject, Limit(requests=1), BOX, NOW)


def test_a_limit_is_a_number_from_zero() -> None:
    with pytest.raises(ModelRefused):
        set_quota(OPERATOR, Limit(requests=-1), BOX, NOW)
    set_quota(OPERATOR, Limit(requests=0), BOX, NOW)
    assert standing(ANN, OPERATOR, date(2026, 3, 2))[0] == Limit(0, None)
