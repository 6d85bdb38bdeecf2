"""What conversations refuse."""

from appliance.lib.errors import MillwrightError


class ConversationUnknown(MillwrightError):
    """There is none of that number for whoever asks."""

    code = "agent.conversation_not_found"


class NoteUnknown(MillwrightError):
    code = "agent.note_not_found"


class NoteRefused(MillwrightError):
    """It is empty, too long, one too many, or not in a state for that."""

    code = "agent.note_refused"


class NobodyTalks(MillwrightError):
    """Only a person, or a program of theirs, has a conversation."""

    code = "agent.nobody_talks"
