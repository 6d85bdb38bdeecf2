"""What an ``sql`` step may say is decided when its task is saved."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.actions.contract import ActionRefused, EffectClass, TargetAway
from appliance.actions.sql import SqlAction, SqlParams
from appliance.actions.sql_rows import _plain
from appliance.actions.sql_session import Whereabouts, opened, translated
from appliance.lib.masking import KNOWN, MASK

OWN = Whereabouts(datetime.now(UTC), "millwright", "millwright", almighty=False)


def params(**keys: Any) -> SqlParams:
    return SqlParams.model_validate({"database": "shop", "query": "SELECT 1", **keys})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"query": "SELECT {{ payload.x }}"}, "values never enter the text"),
        ({"query": "SELECT %(a)s"}, None),
        ({"query": "SELECT %(a)s", "params": {"b": 1}}, "`a` is not in params"),
        ({"query": "SELECT %(a)s", "params": {"a": 1, "b": 1}}, "`b` is not in the query"),
        ({"query": "SELECT 5 % 2, %(a)s", "params": {"a": 1}}, "a percent sign is written %%"),
        ({"query": "SELECT %s, %(a)s", "params": {"a": 1}}, "a percent sign is written %%"),
        ({"query": "SELECT 5 %% 2, %(a)s", "params": {"a": 1}}, None),
        ({"query": "SELECT 5 % 2"}, None),
        ({"database": "a b"}, "pattern"),
        ({"max_rows": 0}, "greater than or equal"),
        ({"max_kib": 10**6}, "less than or equal"),
    ],
)
def test_a_query_and_its_values_fit(keys: dict[str, Any], said: str | None) -> None:
    if said is None:
        assert params(**keys)
        return
    with pytest.raises(ValidationError, match=said):
        params(**keys)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ana:half@otherhalf@127.0.0.1:1/shop",
        "postgresql://ana:half/otherhalf@127.0.0.1:1/shop",
        "postgresql://ana:half%zzotherhalf@127.0.0.1:1/shop",
        "postgresql://127.0.0.1:otherhalf/shop",
    ],
)
async def test_no_part_of_a_password_that_was_not_quoted_is_shown(address: str) -> None:
    with pytest.raises(ActionRefused, match="cannot be read") as refused, translated("shop", 1):
        async with opened(address, "shop", OWN):
            pass
    assert "%40" in str(refused.value.hint)
    error: BaseException | None = refused.value
    while error is not None:
        assert "half" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


async def test_the_password_of_an_address_is_masked_by_itself() -> None:
    with pytest.raises(TargetAway), translated("shop", 1):
        async with opened("postgresql://ana:se%40same-42@127.0.0.1:1/shop", "shop", OWN):
            pass
    assert KNOWN.text("it is se@same-42") == f"it is {MASK}"
    KNOWN.forget()


def test_only_what_is_declared_to_write_is_more_than_pure() -> None:
    assert SqlAction().effect(params()) is EffectClass.PURE
    assert SqlAction().effect(params(write=True)) is EffectClass.KEYED


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("3"), 3),
        (Decimal("2.50"), 2.5),
        (Decimal("0.1"), 0.1),
        (Decimal(2**53 + 1), str(2**53 + 1)),
        (Decimal("1.00000000000000000001"), "1.00000000000000000001"),
        (Decimal("NaN"), "NaN"),
        (b"\x00\xff", "00ff"),
        ([Decimal(1), {"a": (b"",)}], [1, {"a": [""]}]),
    ],
)
def test_a_number_that_json_would_round_is_text(value: Any, shown: Any) -> None:
    assert _plain(value) == shown
