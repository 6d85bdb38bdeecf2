"""A webhook's call becomes one occurrence and one run, once, for whoever proved to be its caller."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.http.request import HttpHeaders
from django.test import RequestFactory

from appliance.accounts.domain import Role
from appliance.accounts.grants import Grant
from appliance.accounts.principal import BOX, NotAllowed, Principal
from appliance.audit.models import AuditRecord
from appliance.runs.models import Run
from appliance.runs.webhooks import Answer, Call, deliver
from appliance.safety.secrets import set_secret
from appliance.tasks.errors import TaskFileError
from appliance.tasks.models import NotTriggered, Occurrence, TaskTrigger
from appliance.tasks.services import apply_text
from appliance.tasks.webhooks import LARGEST_BODY, WebhookRefused
from webadmin import hooks
from webadmin.login import noted

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "a-secret-of-some-length"
BODY = json.dumps({"ref": "refs/heads/main"}).encode()

TASK = """
- name: {name}
  triggers:
    - id: hook
      webhook: {{name: deploy, auth: {auth}, dedupe: X-Delivery, secret: {secret}}}
      when: "{{{{ payload.ref == 'refs/heads/main' }}}}"
  actions: [{{type: set, value: 1}}]
"""


@pytest.fixture(autouse=True)
def secrets(clean: None) -> None:
    set_secret("hook", SECRET, BOX, NOW)
    set_secret("other", SECRET + "-other", BOX, NOW)


def load(name: str = "t", auth: str = "hmac", secret: str = "hook") -> None:
    apply_text(TASK.format(name=name, auth=auth, secret=secret), "t.yaml", BOX, NOW)


def test_a_webhook_names_another_secret_than_its_own_only_where_it_was_granted() -> None:
    some = Grant(Role.ENGINEER, "t*")
    eve = Principal("user:eve", Role.VIEWER, grants=(some,))

    def applied(by: Principal, secret: str) -> None:
        apply_text(TASK.format(name="t", auth="bearer", secret=secret), "t.yaml", by, NOW)

    with pytest.raises(NotAllowed, match="on hook, and that is not enough to use secrets"):
        applied(eve, "hook")
    applied(eve, "webhook-deploy")
    applied(replace(eve, grants=(some, Grant(Role.ENGINEER, secrets="ho*"))), "hook")
    edited = TASK.format(name="t", auth="hmac", secret="hook")
    apply_text(edited, "t.yaml", eve, NOW)  # what the task has already stays
    with pytest.raises(NotAllowed, match="on other"):
        applied(eve, "other")


def signed(body: bytes = BODY, delivery: str = "", secret: str = SECRET) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"HTTP_X_HUB_SIGNATURE_256": f"sha256={signature}", "HTTP_X_DELIVERY": delivery}


def call(headers: Mapping[str, str], body: bytes = BODY, now: datetime = NOW) -> Answer:
    with transaction.atomic():
        return deliver(Call("deploy", HttpHeaders(dict(headers)), body, now))


def test_a_call_starts_one_run_with_its_payload() -> None:
    load()
    answer = call(signed())
    run = Run.objects.get()
    assert (answer.runs, run.inputs["payload"]) == ([run.id], {"ref": "refs/heads/main"})
    occurrence = Occurrence.objects.get()
    assert (occurrence.run_id, run.occurrence_id) == (run.id, occurrence.id)
    assert TaskTrigger.objects.get().fired == 1


def test_the_same_delivery_twice_runs_once_and_is_answered_both_times() -> None:
    load()
    assert call(signed(delivery="d-1")).fired
    again = call(signed(delivery="d-1"))
    assert (again.fired, again.note) == (False, "seen before: not run again")
    assert call(signed(delivery="d-2")).fired
    assert Run.objects.count() == 2


def test_a_nonce_counts_once() -> None:
    load(auth="hmac_timestamp")
    stamp, nonce = str(int(NOW.timestamp())), "nonce-0123456789"
    signature = hmac.new(SECRET.encode(), f"{stamp}.{nonce}.".encode() + BODY, hashlib.sha256).hexdigest()
    headers = {
        "HTTP_X_MILLWRIGHT_TIMESTAMP": stamp,
        "HTTP_X_MILLWRIGHT_NONCE": nonce,
        "HTTP_X_MILLWRIGHT_SIGNATURE": signature,
    }
    assert call(headers).fired
    assert not call(headers, now=NOW + timedelta(minutes=4)).fired
    assert Run.objects.count() == 1


def test_a_caller_without_proof_starts_nothing_and_leaves_no_trace_in_the_ledger() -> None:
    load()
    for headers in ({}, signed(secret="wrong"), signed(b"other body")):
        with pytest.raises(WebhookRefused):
            call(headers)
    assert not Run.objects.exists()
    assert not Occurrence.objects.exists()


def test_a_refused_call_does_not_use_up_a_delivery_s_name() -> None:
    load()
    with pytest.raises(WebhookRefused):
        call(signed(delivery="d-1", secret="wrong"))
    assert call(signed(delivery="d-1")).fired


def test_an_unknown_name_is_refused_like_a_wrong_secret() -> None:
    with pytest.raises(WebhookRefused):
        call(signed())


def test_each_task_on_one_name_has_its_own_callers() -> None:
    load("one", secret="hook")
    load("two", secret="other")
    call(signed())
    assert [run.principal for run in Run.objects.all()] == ["trigger:one/hook"]


def test_a_when_that_says_no_is_traced_and_answered() -> None:
    load()
    body = b'{"ref": "refs/heads/topic"}'
    answer = call(signed(body), body)
    assert (answer.fired, answer.note.startswith("when said no")) == (False, True)
    assert NotTriggered.objects.get().event["body"] == body.decode()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\x00", b"[" * 5000, b"{}"])
def test_a_body_that_is_not_what_it_should_be_is_counted_and_answered(body: bytes) -> None:
    load()
    assert not call(signed(body), body).fired
    assert TaskTrigger.objects.get().failed == 1


def test_a_failure_on_the_way_leaves_the_delivery_open(monkeypatch: pytest.MonkeyPatch) -> None:
    load()

    def broken(new: object) -> None:
        raise RuntimeError("no run")

    with monkeypatch.context() as patch:
        patch.setattr("appliance.runs.webhooks.insert_run", broken)
        with pytest.raises(RuntimeError):
            call(signed(delivery="d-1"))
    assert not Occurrence.objects.exists()
    assert call(signed(delivery="d-1")).fired


def test_over_http_a_run_is_202_a_no_is_200_and_a_stranger_401() -> None:
    load()
    factory = RequestFactory()

    def post(headers: dict[str, str], body: bytes = BODY, name: str = "deploy") -> int:
        request = factory.post(
            f"/hooks/{name}", body, content_type="application/json", **dict[str, Any](headers)
        )
        return hooks.receive(request, name).status_code

    assert post(signed()) == 202
    assert post(signed(b"{}"), b"{}") == 200
    assert post(signed(secret="wrong")) == 401
    assert post(signed(), name="nowhere") == 401
    assert post(signed(), b"x" * (LARGEST_BODY + 1)) == 413
    assert hooks.receive(factory.get("/hooks/deploy"), "deploy").status_code == 405


def test_forged_calls_are_on_record_once_a_minute_for_each_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(noted, "_one", noted.Few(each=1, now=lambda: clock[0]))
    load()
    factory = RequestFactory()

    def forge(name: str, times: int) -> None:
        for _ in range(times):
            request = factory.post(
                f"/hooks/{name}", BODY, content_type="application/json", REMOTE_ADDR="192.0.2.7"
            )
            assert hooks.receive(request, name).status_code == 401

    last = AuditRecord.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    clock[0] = 100.0
    forge("deploy", 5)
    forge("my-secret-in-the-wrong-place", 2)
    forge("nowhere", 2)
    clock[0] = 161.0
    forge("deploy", 1)
    found = list(AuditRecord.objects.filter(seq__gt=last, kind="webhook.refused").order_by("seq"))
    assert [one.subject for one in found] == ["webhook/deploy", "webhook/unknown", "webhook/deploy"]
    assert {one.principal for one in found} == {"stranger"}
    assert (found[0].detail["from"], found[0].detail["case"]) == (
        "192.0.2.7",
        "the signature does not fit the body",
    )
    assert [one.detail.get("left_out", 0) for one in found] == [0, 4, 3]
    assert "wrong-place" not in "".join(one.body for one in found)


def test_a_second_task_on_the_same_name_and_secret_is_refused_when_saved() -> None:
    load("one", secret="hook")
    with pytest.raises(TaskFileError, match="is the address of the task `one` already"):
        load("two", secret="hook")
    load("one", secret="hook")
