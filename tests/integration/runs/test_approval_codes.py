"""The one-time code that an approver gives by telephone."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import Principal
from appliance.runs import approvals
from appliance.safety.approvals.errors import ApprovalRefused
from tests.integration.runs.desk import Desk, desk

__all__ = ["desk"]


async def test_a_code_carries_the_word_of_who_minted_it(desk: Desk) -> None:
    run_id = await desk.asked()
    (row,) = await desk.rows()
    anna, vic = Principal("user:anna", Role.ENGINEER), Principal("user:vic", Role.VIEWER)
    code = await sync_to_async(approvals.mint_code)(row.code, anna, desk.clock.now())
    assert len(code) == 8
    assert code.isdigit()
    for ref in (row.code, "NOBODY"):
        with pytest.raises(
            ApprovalRefused, match=r"^The code is not right for this, or not good any more\.$"
        ):
            await sync_to_async(approvals.by_code)(ref, "00000000", vic, desk.clock.now())
    done = await sync_to_async(approvals.by_code)(row.code, code, vic, desk.clock.now())
    assert (done.state, done.decided_by, done.way) == ("approved", "user:anna", "code")
    (said,) = [one for one in await desk.audit("approval.decided") if one["subject"] == str(row.pk)]
    assert said["detail"]["entered_by"] == "user:vic"
    assert (await desk.perform(run_id))["state"] == "succeeded"


async def test_a_code_lives_ten_minutes_and_five_tries_and_is_minted_by_approvers_only(desk: Desk) -> None:
    await desk.asked()
    (row,) = await desk.rows()
    anna, vic = Principal("user:anna", Role.ENGINEER), Principal("user:vic", Role.VIEWER)
    with pytest.raises(ApprovalRefused):
        await sync_to_async(approvals.mint_code)(
            row.code, Principal("user:olga", Role.OPERATOR), desk.clock.now()
        )
    code = await sync_to_async(approvals.mint_code)(row.code, anna, desk.clock.now())
    late = desk.clock.now() + timedelta(minutes=10)
    with pytest.raises(ApprovalRefused):
        await sync_to_async(approvals.by_code)(row.code, code, vic, late)
    for _ in range(5):
        with pytest.raises(ApprovalRefused):
            await sync_to_async(approvals.by_code)(row.code, "12", vic, desk.clock.now())
    with pytest.raises(ApprovalRefused):
        await sync_to_async(approvals.by_code)(row.code, code, vic, desk.clock.now())
    assert [one.state for one in await desk.rows()] == ["open"]


async def test_a_code_of_somebody_who_may_not_any_more_is_worth_nothing(desk: Desk) -> None:
    await desk.asked()
    (row,) = await desk.rows()
    anna, vic = Principal("user:anna", Role.ENGINEER), Principal("user:vic", Role.VIEWER)
    code = await sync_to_async(approvals.mint_code)(row.code, anna, desk.clock.now())
    await User.objects.filter(username="anna").aupdate(role="operator")
    with pytest.raises(ApprovalRefused):
        await sync_to_async(approvals.by_code)(row.code, code, vic, desk.clock.now())
