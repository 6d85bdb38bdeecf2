"""What the chat page shows of questions to people who may not decide, of a model that is gone, and of answers."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils.html import escape

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.agent.explaining.changed import changed_in
from appliance.bridges.models import ChatRecord
from appliance.inference.domain import EngineKind, InstanceState, Need
from appliance.inference.leases import Seen, View
from appliance.processes.models import PartBeat
from appliance.safety.approvals.asking import digest_of
from tests.integration.webadmin.agent_rows import STOP, begun, ended
from tests.integration.webadmin.test_chat_page import asked, html
from webadmin import model_here

Browsers = Callable[[Role], Client]
People = Callable[[Role], User]

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/chat/", "/"])
def test_buttons_are_for_who_may_decide_and_others_read_who_that_is(browser: Browsers, path: str) -> None:
    rows = begun()
    row = rows.asks("call-1-1", token_digest=digest_of("tok"), approvers="engineer")
    ChatRecord.objects.create(
        platform="webchat", conversation="feed", created_at=datetime.now(UTC),
        text=f"It needs your approval:\nAnswer with:\napprove {row.code}\ndeny {row.code}",
        buttons=[{"label": "Approve", "data": "approve tok"}, {"label": "Deny", "data": "deny tok"}],
    )  # fmt: skip
    page = html(browser(Role.OPERATOR), path)
    assert "approve tok" not in page
    assert f"approve {row.code}" not in page
    assert "It waits for a person. May decide:" in " ".join(page.split())
    page = html(browser(Role.ENGINEER), path)
    assert path == "/" or "approve tok" in page
    assert "It waits for a person." not in page


@pytest.mark.parametrize("page", ["chat", "run"])
def test_where_no_model_answers_the_turn_says_so(browser: Browsers, person: People, page: str) -> None:
    rows = begun()
    asked(person(Role.OPERATOR), "Why is pump 3 hot?", rows.task_run)
    rows.step("turn-1", "running", kind="agent_turn", effect="pure", finished_at=None)
    client = browser(Role.OPERATOR)
    path = "/chat/" if page == "chat" else f"/runs/{rows.task_run}/"
    PartBeat.objects.update_or_create(part="keeper", defaults={"at": datetime.now(UTC), "healthy": True})
    assert "The model thinks" in html(client, path)
    PartBeat.objects.filter(part="keeper").update(healthy=False)
    found = html(client, path)
    assert "The model thinks" not in found
    assert "No model answers now. The question waits for one." in found


def test_what_was_changed_stands_in_the_card_alone(browser: Browsers, person: People) -> None:
    rows, user = ended(), person(Role.OPERATOR)
    row = asked(user, "Why is pump 3 hot?", rows.task_run)
    client, answer = browser(Role.OPERATOR), "Pump 3 was too hot, I stopped it."
    changed = changed_in({"did": [{"tool": "mqtt", "arguments": STOP.arguments, "fate": "done"}]})
    assert html(client).count(escape(changed)) == 1
    ChatRecord.objects.create(
        platform="webchat", conversation=row.conversation, text=f"{answer}\n\n{changed}",
        created_at=datetime.now(UTC),
    )  # fmt: skip
    page = html(client)
    assert answer in page.partition('class="bubble ')[2]
    assert page.count(escape(changed)) == 1
    ChatRecord.objects.create(
        platform="webchat", conversation=row.conversation, text=f"Another.\n\n{changed}",
        created_at=datetime.now(UTC),
    )  # fmt: skip
    assert html(client).count(escape(changed)) == 2, "of what has no card here the message says it"


@pytest.mark.parametrize(
    ("state", "offers", "mute"),
    [("ready", Need.JSON, False), ("failed", Need.JSON, True), ("ready", Need.EMBEDDINGS, True)],
)
def test_the_keepers_word_counts_before_its_sign_of_life(
    monkeypatch: pytest.MonkeyPatch, state: str, offers: Need, mute: bool
) -> None:
    seen = Seen(
        model="m", version="1", digest="d", engine=EngineKind.LLAMACPP, device="", state=InstanceState(state),
        reason="", for_seconds=1.0, offers=frozenset({offers}),
    )  # fmt: skip

    class Keeper:
        async def look(self) -> View:
            return View(models=(seen,), spaces=(), waiting=0)

    monkeypatch.setattr(model_here, "keeper", Keeper)
    PartBeat.objects.update_or_create(part="keeper", defaults={"at": datetime.now(UTC), "healthy": True})
    assert model_here.no_model_now(datetime.now(UTC)) is mute
