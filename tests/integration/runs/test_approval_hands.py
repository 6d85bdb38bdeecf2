"""Who made a token or a code can have used it: nobody approves with one hand what they asked for with the other."""

from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import CONSOLE, Principal, hand_of
from appliance.accounts.tokens import authenticate, issue_api_token
from appliance.runs import approvals, services
from appliance.safety.approvals import services as rows
from appliance.safety.approvals.domain import Choice, Terms, Way, not_theirs
from appliance.safety.approvals.errors import ApprovalRefused
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Objected, Word
from tests.integration.runs.conftest import task
from tests.integration.runs.desk import PLAIN, Desk, desk

__all__ = ["desk"]

ALL = [Ability.APPROVE, Ability.RUN_TASKS]
ISSUERS = ("user:ada", "token:ada/ci", "user:carl", "console", None)


def make_token(desk: Desk, person: str, issuer: str | None, name: str = "ci") -> Principal:
    """A token of ``person`` as it acts; ``issuer`` None: made before anybody kept who did."""
    user = User.objects.get(username=person)
    text = issue_api_token(user, name, ALL, CONSOLE, desk.clock.now())
    ApiToken.objects.filter(user=user, name=name).update(issued_by=issuer)
    token = authenticate(text, desk.clock.now())
    assert token is not None
    return token.principal


def admins() -> None:
    for name in ("ada", "carl"):
        User.objects.create(username=name, role="admin")


async def asked_by(desk: Desk, by: Principal) -> Approval:
    """A run that ``by`` started, waiting for an approval."""
    await desk.load(task(PLAIN, principal="engineer"))
    run_id: UUID = await sync_to_async(services.start_task)("t", by, desk.clock.now())
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:approval"
    return (await desk.rows())[-1]


async def case_of(desk: Desk, row: Approval, deciding: Any) -> str:
    """What the audit record says about an attempt that is refused."""
    with pytest.raises(ApprovalRefused):
        await deciding
    refused = [one for one in await desk.audit("approval.refused") if one["subject"] == str(row.pk)]
    return str(refused[-1]["detail"]["case"])


async def test_who_made_the_token_that_asked_may_not_decide(desk: Desk) -> None:
    await sync_to_async(admins)()
    by = await sync_to_async(make_token)(desk, "ben", "user:ada")
    row = await asked_by(desk, by)
    assert (row.requester, row.issuer) == ("ben", "ada")
    assert [one["detail"]["issuer"] for one in await desk.audit("approval.asked")][-1] == "ada"
    for who, case in (("ada", "issuer"), ("ben", "requester")):
        assert await case_of(desk, row, desk.say(Choice.APPROVE, who)) == case
        assert await case_of(desk, row, desk.say(Choice.DENY, who)) == case
    assert not await sync_to_async(rows.may_decide)(row, (await User.objects.aget(username="ada")).principal)
    assert (await desk.say(Choice.APPROVE, "carl")).state == "approved"


async def test_a_token_that_the_requester_made_decides_on_nothing_of_theirs(desk: Desk) -> None:
    await sync_to_async(admins)()
    row = await asked_by(desk, (await User.objects.aget(username="ada")).principal)
    theirs = await sync_to_async(make_token)(desk, "ben", "user:ada")
    another = await sync_to_async(make_token)(desk, "anna", "console")

    def word(by: Principal) -> Any:
        return sync_to_async(approvals.decide)(
            str(row.pk), Word(Choice.APPROVE, by, Way.API, desk.clock.now())
        )

    assert await case_of(desk, row, word(theirs)) == "issuer"
    code = sync_to_async(approvals.mint_code)(row.code, theirs, desk.clock.now())
    assert await case_of(desk, row, code) == "issuer"
    assert (await word(another)).state == "approved"


async def test_where_nobody_but_the_maker_could_decide_nobody_is_waited_for(desk: Desk) -> None:
    await sync_to_async(admins)()
    desk.asking.terms = Terms(names=("ada",))
    by = await sync_to_async(make_token)(desk, "ben", "user:ada")
    await desk.load(task(PLAIN, principal="engineer"))
    run_id = await sync_to_async(services.start_task)("t", by, desk.clock.now())
    assert "there is nobody who may give it" in (await desk.perform(run_id))["reason"]


async def test_a_token_whose_maker_nobody_knows_is_trusted_with_neither(desk: Desk) -> None:
    await sync_to_async(admins)()
    old = await sync_to_async(make_token)(desk, "ben", None)
    row = await asked_by(desk, old)
    assert row.issuer == "?"
    assert await case_of(desk, row, desk.say(Choice.APPROVE, "ada")) == "issuer"
    console = sync_to_async(approvals.decide)(
        row.code, Word(Choice.APPROVE, CONSOLE, Way.CLI, desk.clock.now())
    )
    assert await case_of(desk, row, console) == "issuer"
    theirs = await sync_to_async(make_token)(desk, "anna", None)
    deciding = sync_to_async(approvals.decide)(
        row.code, Word(Choice.APPROVE, theirs, Way.API, desk.clock.now())
    )
    assert await case_of(desk, row, deciding) == "issuer"
    assert (await desk.say(Choice.APPROVE, "anna")).state == "approved"


async def test_a_code_of_the_console_says_so_and_is_not_for_what_the_console_asked(desk: Desk) -> None:
    row = await asked_by(desk, CONSOLE)
    anna, vic = Principal("user:anna", Role.ENGINEER), Principal("user:vic", Role.VIEWER)
    mint = sync_to_async(approvals.mint_code)
    assert await case_of(desk, row, mint(row.code, anna, desk.clock.now(), "console")) == "issuer"
    other = await asked_by(desk, Principal("user:ben", Role.ENGINEER))
    code = await mint(other.code, anna, desk.clock.now(), "console")
    (minted,) = [one for one in await desk.audit("approval.code") if one["subject"] == str(other.pk)]
    assert (minted["principal"], minted["detail"]["in_the_name_of"]) == ("console", "user:anna")
    done = await sync_to_async(approvals.by_code)(other.code, code, vic, desk.clock.now())
    assert (done.decided_by, done.minted_by) == ("user:anna", "console")
    (said,) = [one for one in await desk.audit("approval.decided") if one["subject"] == str(other.pk)]
    assert said["detail"]["minted_by"] == "console"


async def test_a_code_is_no_better_than_the_token_that_made_it(desk: Desk) -> None:
    """Its maker's token may turn out to be the requester's only when the code is used."""
    await sync_to_async(admins)()
    row = await asked_by(desk, (await User.objects.aget(username="ada")).principal)
    theirs = await sync_to_async(make_token)(desk, "ben", "console")
    code = await sync_to_async(approvals.mint_code)(row.code, theirs, desk.clock.now())
    await ApiToken.objects.filter(user__username="ben").aupdate(issued_by="user:ada")
    vic = Principal("user:vic", Role.VIEWER)
    typed = sync_to_async(approvals.by_code)(row.code, code, vic, desk.clock.now())
    assert await case_of(desk, row, typed) == "issuer"


async def test_the_statement_that_decides_asks_for_itself(desk: Desk) -> None:
    """Also where the code around it were deceived about who made the token."""
    await sync_to_async(admins)()
    row = await asked_by(desk, (await User.objects.aget(username="ada")).principal)
    theirs = replace(await sync_to_async(make_token)(desk, "ben", "user:ada"), issuer="")

    def decide() -> None:
        with transaction.atomic():
            rows.decide(row, Word(Choice.APPROVE, theirs, Way.API, desk.clock.now()))

    with pytest.raises(Objected):
        await sync_to_async(decide)()
    assert [one.state for one in await desk.rows()] == ["open"]


async def test_code_and_statement_give_one_answer(desk: Desk) -> None:
    """Every pair of who asked by what and who answers by what."""
    await sync_to_async(admins)()

    def people() -> list[Principal]:
        found = [
            CONSOLE,
            *(user.principal for user in User.objects.filter(username__in=("ada", "carl", "anna"))),
        ]
        for person, (number, issuer) in product(("ben", "anna"), enumerate(ISSUERS)):
            found.append(make_token(desk, person, issuer, f"t{number}"))
        return found

    everybody = await sync_to_async(people)()
    row = await asked_by(desk, everybody[0])
    asked = replace(rows.asked(row), terms=Terms(Role.VIEWER))

    def answers() -> list[tuple[str, str, str]]:
        wrong = []
        with connection.cursor() as cursor:
            for one, by, minted_by in product(everybody, everybody, ("", "console")):
                through = minted_by or by.name
                values = {"asked": one.name, "requester": hand_of(one.name), "through": through}
                cursor.execute(
                    "SELECT accounts_issuer_of(%(asked)s), safety_same_hand(%(requester)s, "
                    "accounts_issuer_of(%(asked)s), %(person)s, %(through)s)",
                    {**values, "person": hand_of(by.name)},
                )
                issuer, same = cursor.fetchone() or ("", None)
                assert issuer == one.issuer
                mine = replace(by, issuer="") if minted_by else by
                here = replace(asked, requester=hand_of(one.name), issuer=one.issuer)
                if (not_theirs(here, mine, minted_by) is not None) is not same:
                    wrong.append((one.name + f" of {one.issuer}", by.name + f" of {by.issuer}", minted_by))
        return wrong

    assert await sync_to_async(answers)() == []
