"""What Slack's error codes mean for a message: docs.slack.dev/reference/methods lists those of each method."""

from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    NotReady,
    PlatformAway,
)

PATIENCE = 10.0
"""Seconds to wait where Slack does not say how many."""

BAD_TOKEN = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})
FOR_A_PERSON = {
    "not_allowed_token_type": "Slack expects another kind of token",
    "no_permission": "the Slack app may not do this",
    "access_denied": "the Slack app may not do this",
    "forbidden_team": "the Slack workspace may not use Socket Mode",
    "team_access_not_granted": "the Slack app is not installed in this workspace",
    "ekm_access_denied": "Slack's administrators have suspended messages",
    "enterprise_is_restricted": "Slack's administrators do not allow this app",
    "org_login_required": "the Slack workspace is being migrated",
    "two_factor_setup_required": "the Slack account needs two factors",
    "accesslimited": "Slack does not take calls from this network",
}
IN_PART = frozenset({"internal_error", "fatal_error"})
"""Slack says of these that some of it may have been done."""
AWAY = frozenset(
    {
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "external_channel_migrating",
        "update_failed",
    }
)
TOO_FAST = {
    "ratelimited": PATIENCE,
    "rate_limited": PATIENCE,
    "message_limit_exceeded": 60.0,
}
_INVITE = "write the channel's id, and invite the app there: /invite @its-name"
_SETTINGS = "the channel's or the workspace's settings forbid it; name another channel"
REFUSED = {
    "channel_not_found": ("Slack does not show this channel to the app", _INVITE),
    "invalid_channel": ("Slack does not show this channel to the app", _INVITE),
    "not_in_channel": ("the app is not in this channel", _INVITE),
    "posting_to_channel_denied": ("the app is not in this channel", _INVITE),
    "user_not_found": ("there is no such person", "write the person's id: U…"),
    "is_archived": ("the channel is archived", "name another one, or take it out of the archive"),
    "is_inactive": ("the channel is archived", "name another one, or take it out of the archive"),
    "messages_tab_disabled": (
        "the app takes no private messages",
        "switch on the messages tab under App Home",
    ),
    "restricted_action": ("the app may not post there", _SETTINGS),
    "restricted_action_read_only_channel": ("the channel is read-only", _SETTINGS),
    "restricted_action_thread_only_channel": ("the channel takes replies in threads only", _SETTINGS),
    "restricted_action_non_threadable_channel": ("the channel takes no replies in threads", _SETTINGS),
    "msg_too_long": ("the message is too long", "make it shorter, or send a file"),
    "msg_blocks_too_long": ("the message is too long", "make it shorter, or send a file"),
    "no_text": ("the message is empty", None),
    "message_not_found": ("the earlier message is not there any more", None),
    "cant_update_message": ("the earlier message is not the app's own", None),
    "edit_window_closed": ("the earlier message is too old to be edited", None),
    "thread_not_found": ("the thread is not there any more", "name the channel alone"),
    "invalid_thread_ts": ("this is not a thread", "a thread is written C0123/1699000000.000100"),
    "file_uploads_disabled": ("the workspace takes no files", "its administrators can allow them"),
    "file_uploads_except_images_disabled": ("the workspace takes pictures only", None),
    "file_type_not_allowed": ("the workspace does not take this kind of file", None),
    "file_upload_size_restricted": ("the file is too large for the workspace", None),
    "storage_limit_reached": (
        "the workspace has no room for files",
        "delete some, or ask its administrators",
    ),
}


def meaning(answer: JsonObject, shown: str, refused: str, retry_after: float | None = None) -> DeliveryError:
    """Of an answer with ``ok: false``. ``shown`` is its code as people may see it, ``refused`` the
    sentence for a token that Slack does not take."""
    code = str(answer.get("error"))
    if code in BAD_TOKEN:
        return NotReady(refused, hint="enter it again; the app's settings have it")
    if code == "missing_scope":
        return NotReady("the Slack app lacks a scope", hint=_scope(answer.get("needed")))
    if code in FOR_A_PERSON:
        return NotReady(FOR_A_PERSON[code], hint=f"Slack says {shown}; look into the app's settings")
    if code in TOO_FAST:
        return DeliveryDeferred("Slack asks for patience", retry_after=retry_after or TOO_FAST[code])
    if code in IN_PART or code in AWAY:
        return PlatformAway(f"Slack is out of order ({shown})", maybe_sent=code in IN_PART)
    message, hint = REFUSED.get(code, ("it is refused", None))
    return DeliveryRefused(f"Slack says {shown}: {message}", hint=hint)


def _scope(needed: object) -> str:
    which = f" {needed}" if isinstance(needed, str) and needed.isascii() and len(needed) < 200 else ""
    return f"add the scope{which} under OAuth & Permissions, and install the app again"
