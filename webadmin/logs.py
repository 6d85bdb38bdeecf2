"""What goes to the log when a part is away: a line for each attempt, not the same traceback over and over."""

import logging

import kombu.exceptions
import redis.exceptions

from appliance.lib.masking import KNOWN
from webadmin.away import is_away

_HINTS = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, kombu.exceptions.OperationalError)
LONGEST = 1000
"""Characters of such a line: Celery beat puts a whole stack into its message."""


class BriefWhenAway(logging.Filter):
    """Replaces the traceback of an error that only says that database or Redis are away by its first line."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None and _says_away(error):
            said = (str(error).splitlines() or [""])[0]
            record.msg = f"{record.getMessage()[:LONGEST]} ({type(error).__name__}: {said[:LONGEST]})"
            record.args = record.exc_info = record.exc_text = None
        return True


def _says_away(error: BaseException | None) -> bool:
    """The error itself or one that it came from."""
    for _ in range(10):
        if error is None:
            return False
        if is_away(error) or isinstance(error, _HINTS):
            return True
        error = error.__cause__ or error.__context__
    return False


class WithoutSecrets(logging.Filter):
    """Takes every secret that this process knows out of what it logs, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not KNOWN.knows_any:
            return True
        record.msg, record.args = KNOWN.text(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = KNOWN.text(record.exc_text)
        if record.stack_info:
            record.stack_info = KNOWN.text(record.stack_info)
        return True
