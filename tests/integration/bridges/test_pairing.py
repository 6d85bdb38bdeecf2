"""A code that a person got in the web admin links whoever says it, once, in private, and nobody who guesses."""

from datetime import timedelta

import pytest

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.bridges import services
from appliance.bridges.models import ChatIdentity, PairingCode
from appliance.bridges.pairing import MOST_TRIES, VALID_FOR, new_code
from appliance.lib.clock import SystemClock
from tests.standins.telegram import TOKEN
from tests.wait import wait_for_async

from .conftest import House, in_thread

NOW = SystemClock().now
INVALID = "This code is not valid. Make a new one on the page Platforms."


@pytest.fixture
async def open_house(house: House) -> House:
    await in_thread(services.save_platform, {"name": "telegram", "auth": TOKEN}, CONSOLE, NOW())
    return house


async def code_for(person: User) -> str:
    return await in_thread(new_code, person, person.principal, NOW())


async def answered(house: House, count: int) -> str:
    await wait_for_async(lambda: len(house.telegram.texts) == count)
    return house.telegram.texts[-1]


async def test_a_code_makes_a_stranger_the_person_it_was_shown_to(open_house: House, ann: User) -> None:
    code = await code_for(ann)
    async with open_house.living():
        open_house.telegram.say(f"pair {code.lower()}", user_id=77)
        assert "You are ann here now" in await answered(open_house, 1)
        open_house.telegram.say("status", user_id=77)
        await answered(open_house, 2)
    assert open_house.handler.verbs == ["status"]
    linked = "SELECT principal, subject FROM audit_record WHERE kind = 'chat_identity.linked' ORDER BY seq"
    assert (await open_house.rows(linked))[-1] == ("user:ann", "telegram/77")
    [row] = await open_house.rows("SELECT default_conversation FROM bridges_platform")
    assert row == ("",), "what has no recipient goes where somebody who may manage platforms says"


async def test_a_code_works_once(open_house: House, ann: User) -> None:
    code = await code_for(ann)
    async with open_house.living():
        open_house.telegram.say(f"配对 {code}", user_id=77)
        assert "ann" in await answered(open_house, 1)
        open_house.telegram.say(f"pair {code}", user_id=88)
        assert await answered(open_house, 2) == INVALID
    assert not await in_thread(lambda: PairingCode.objects.exists())


async def test_an_old_code_and_one_that_was_replaced_are_void(open_house: House, ann: User) -> None:
    first = await code_for(ann)
    old = await in_thread(new_code, ann, ann.principal, NOW() - VALID_FOR - timedelta(seconds=1))
    async with open_house.living():
        for count, code in enumerate((first, old), 1):
            open_house.telegram.say(f"pair {code}", user_id=77)
            assert await answered(open_house, count) == INVALID
    assert not await in_thread(lambda: ChatIdentity.objects.filter(person__isnull=False).exists())


async def test_who_guesses_is_not_heard_after_some_tries(open_house: House, ann: User) -> None:
    code = await code_for(ann)
    async with open_house.living():
        for count in range(1, MOST_TRIES + 1):
            open_house.telegram.say("pair AAAA-AAAA", user_id=77)
            assert await answered(open_house, count) == INVALID
        open_house.telegram.say(f"pair {code}", user_id=77)
        assert await answered(open_house, MOST_TRIES + 1) == INVALID
        open_house.telegram.say(f"pair {code}", user_id=88)
        assert "ann" in await answered(open_house, MOST_TRIES + 2), "others are"


async def test_in_a_group_nothing_is_paired_and_nothing_said(open_house: House, ann: User) -> None:
    code = await code_for(ann)
    async with open_house.living():
        open_house.telegram.say(f"pair {code}", user_id=77, chat_id=-5)
        open_house.telegram.say("pair AAAA-AAAA", user_id=88)
        assert await answered(open_house, 1) == INVALID
    assert await in_thread(lambda: PairingCode.objects.exists())


async def test_a_person_that_is_switched_off_is_not_paired(open_house: House, ann: User) -> None:
    code = await code_for(ann)
    await in_thread(lambda: User.objects.filter(pk=ann.pk).update(is_active=False))
    async with open_house.living():
        open_house.telegram.say(f"pair {code}", user_id=77)
        assert await answered(open_house, 1) == INVALID


@pytest.mark.parametrize(
    "by", [CONSOLE, Principal("token:ann/panel", Role.ADMIN), Principal("user:bob", Role.ADMIN)]
)
async def test_nobody_else_gets_a_persons_code(open_house: House, ann: User, by: Principal) -> None:
    with pytest.raises(NotAllowed):
        await in_thread(new_code, ann, by, NOW())
    assert not await in_thread(lambda: PairingCode.objects.exists())


async def test_an_administrator_who_pairs_first_gets_what_has_no_recipient(
    open_house: House, ann: User
) -> None:
    await in_thread(lambda: User.objects.filter(pk=ann.pk).update(role=Role.ADMIN))
    code = await code_for(ann)
    async with open_house.living():
        open_house.telegram.say(f"pair {code}", user_id=77)
        assert "ann" in await answered(open_house, 1)
    assert await open_house.rows("SELECT default_conversation FROM bridges_platform") == [("77",)]
