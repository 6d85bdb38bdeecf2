"""What can be wrong with kept values and with the box that they are shared with."""

from appliance.lib.errors import MillwrightError


class CacheConflict(MillwrightError):
    """A compare-and-set whose version is not the current one."""

    code = "cache.conflict"


class CacheRefused(MillwrightError):
    code = "cache.refused"


class CacheNotFound(MillwrightError):
    code = "cache.not_found"


class Moved(MillwrightError):
    """The value was written while it was being decided on; trying again decides on the new one."""

    code = "cache.moved"
    permanent = False


class PeerAway(MillwrightError):
    """No answer, or one that says "later"."""

    code = "cache.peer_away"
    permanent = False


class PeerRefused(MillwrightError):
    """The peer does not take what this box asks: a wrong address or token. Nothing is parked for it."""

    code = "cache.peer_refused"


class MessageRefused(MillwrightError):
    """The peer takes this box's calls, but not this message."""

    code = "cache.message_refused"


class PeerFailed(MillwrightError):
    """The peer answers otherwise, and failed over this call; a message that does it again and again is parked."""

    code = "cache.peer_failed"
    permanent = False


class SyncHeld(MillwrightError):
    """The all-stop stands at "cut" or beyond: no value leaves this box, and none comes in."""

    code = "cache.held"
    permanent = False
