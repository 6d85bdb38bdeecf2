"""What a sentence of a task does when somebody says it in a chat, and which of them a person may say."""

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.bridges.ports import Answer, ChatCommand, ChatSender
from appliance.processes.chat_buttons import Speaker
from appliance.processes.chat_starting import start
from appliance.tasks.arming import Phrases
from appliance.tasks.phrase_table import Heard, Meant

MOST_SHOWN = 10


class ChatPhrases:
    """The sentences of the enabled tasks, always as their last version says them."""

    def __init__(self, phrases: Phrases | None = None) -> None:
        self._phrases = phrases or Phrases()

    def answer(self, command: ChatCommand, sender: ChatSender, person: Speaker, origin: str) -> Answer | None:
        """Start the task that is meant, at most once per ``command.key``; None where no task has such a sentence.

        Raises NotAllowed, ReadOnlyNow.
        """
        heard = Heard(command.text, sender.platform, sender.conversation, sender.username)
        meant = self._phrases.table().match(heard)
        if not meant:
            return None
        if len(meant) > 1:
            return Answer(_several(meant, person))
        return start(meant[0], command, sender, person, origin)

    def help(self, sender: ChatSender, person: Speaker) -> list[str]:
        """Lines for the help: what this person may say here to start tasks."""
        found = self._phrases.table().sentences(
            sender.platform,
            sender.conversation,
            lambda task: person.principal.can(Ability.RUN_TASKS, task=task),
        )
        if not found:
            return []
        lines = [f"{pattern} - {task}" for task, pattern in found[:MOST_SHOWN]]
        more = len(found) - MOST_SHOWN
        return [
            gettext("Sentences that start tasks:"),
            *lines,
            *([gettext("and %(count)d more") % {"count": more}] if more > 0 else []),
        ]


def _several(meant: list[Meant], person: Speaker) -> str:
    """Nothing is started where two tasks may be meant. Who may not see one of them does not learn its name."""
    names = [one.armed.definition.name for one in meant]
    seen = [name for name in names if person.principal.can(Ability.VIEW, task=name)]
    said = gettext("More than one task may be meant, so none was started: %(names)s. Write run and its name.")
    return said % {"names": ", ".join(seen) or "…"}
