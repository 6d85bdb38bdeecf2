"""Sentences with values in them that rows keep as English text: by these words they are known again.

Each `say()` with values in the bridges and the outbox stands here; a test looks. The others are what platforms' own
modules say without it.
"""

from django.utils.translation import gettext_noop

FIXED = (
    gettext_noop("expired, may have been delivered"),
    gettext_noop("this webhook only receives: its configuration has no url"),
    gettext_noop("too long to take another message's place"),
    gettext_noop("No such file or directory"),
    gettext_noop("Permission denied"),
    gettext_noop("the run was ended before: nothing was done"),
    gettext_noop("the run was ended before anybody decided: nothing was done"),
    gettext_noop("it was cut off when the run was ended: whether it was done is not known"),
)
"""Those without values that their own modules do not mark."""

WITH_VALUES = (
    gettext_noop("%(title)s cannot be reached: %(what)s"),
    gettext_noop("%(title)s is out of order (status %(status)s)"),
    gettext_noop("%(title)s asks for patience"),
    gettext_noop("%(title)s answers with status %(status)s"),
    gettext_noop("%(title)s says: %(words)s"),
    gettext_noop("Telegram says: %(said)s"),
    gettext_noop("Slack says %(words)s"),
    gettext_noop("%(platform)s did not answer in time"),
    gettext_noop("the bridge of %(platform)s broke; see the log"),
    gettext_noop("the connection failed (%(kind)s)"),
    gettext_noop("the platform %(platform)r is not configured"),
    gettext_noop("the secret %(name)s is not set"),
    gettext_noop("enter it on the platform page, or: manage.py secrets set %(name)s"),
    gettext_noop("this version has no bridge for %(kind)s"),
    gettext_noop("nobody here is called %(name)s"),
    gettext_noop("%(note)s; polling instead"),
    gettext_noop("Telegram refuses the webhook (%(words)s)"),
    gettext_noop("Telegram cannot reach the webhook (%(words)s)"),
    gettext_noop("nobody decided within %(time)s"),
    gettext_noop("denied by %(who)s"),
    gettext_noop("denied by %(who)s: %(why)s"),
    gettext_noop("expired: %(why)s"),
    gettext_noop("expired, may have been delivered: %(why)s"),
    gettext_noop("dropped by %(who)s"),
    gettext_noop("%(quoted)s: the command cannot be started: %(why)s"),
    gettext_noop("%(quoted)s: the command gave no answer"),
    gettext_noop("%(quoted)s: All connection attempts failed"),
    gettext_noop("%(quoted)s did not answer within %(seconds)s s"),
)
