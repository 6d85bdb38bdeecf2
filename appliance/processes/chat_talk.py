"""What nothing else understood, for the task that takes it; and the words about a conversation, which need no model."""

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.agent.conversations import notes, services, starting
from appliance.agent.conversations.domain import NoteScope, NoteState
from appliance.agent.conversations.models import AgentNote
from appliance.bridges.messages import Button
from appliance.bridges.ports import Answer, ChatCommand, ChatSender, Verb
from appliance.processes.chat_buttons import Speaker
from appliance.processes.chat_starting import origin_of, start, where
from appliance.tasks.arming import Phrases
from appliance.tasks.phrase_table import Heard, Meant

SHOWN = 10
WORDS = frozenset({Verb.FORGET, Verb.ANEW, Verb.REMEMBER, Verb.NOTES})
"""They mean something only where somebody listens."""
_KEPT = frozenset({Verb.UNKNOWN, Verb.STATUS, Verb.TASKS, Verb.RUNS, Verb.RUN, Verb.CANCEL, Verb.HELP})
"""Commands that belong to the conversation; a stop, an approval and a code never become text of it."""
_ACCEPT = frozenset({"accept", "yes", "接受", "同意"})
_REJECT = frozenset({"reject", "no", "拒绝", "不要"})
_END = frozenset({"end", "remove", "结束", "删除"})


class ChatTalk:
    """``phrases`` is read again when a task has changed. Used in Django's one thread of its process."""

    def __init__(self, phrases: Phrases) -> None:
        self._phrases = phrases

    def listeners(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> list[Meant]:
        """Who takes what nothing else understood, said here by somebody who may start that."""
        heard = Heard(command.text, sender.platform, sender.conversation, sender.username)
        found = self._phrases.table().otherwise(heard, private=sender.private)
        by = person.principal
        may = [one for one in found if by.can(Ability.RUN_TASKS, task=one.armed.definition.name)]
        return may if by.can(Ability.CHAT) else []

    def take(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer | None:
        """Start the one who listens, at most once for each ``command.key``; None where nobody does.

        Raises NotAllowed, ReadOnlyNow.
        """
        found = self.listeners(command, sender, person)
        if not found:
            return None
        if len(found) > 1:
            names = ", ".join(one.armed.definition.name for one in found)
            said = gettext("Two tasks take what nothing else understood, so neither has it: %(names)s.")
            return Answer(said % {"names": names})
        return start(found[0], command, sender, person, origin_of(person))

    def keep(self, command: ChatCommand, sender: ChatSender, person: Speaker, answer: Answer | None) -> None:
        """What the box itself understood and answered is part of the conversation, where somebody listens."""
        if (
            answer is None
            or not answer.text
            or not sender.private
            or command.verb not in _KEPT
            or not self.listeners(command, sender, person)
        ):
            return
        by, key, now = person.principal, command.key, command.received_at
        message = starting.heard(by, where(sender), command.text, now, key=key)
        if message.run_id is None:
            starting.answered(by, where(sender), answer.text, now, key=key)

    # --- words about the conversation

    def word(
        self, command: ChatCommand, sender: ChatSender, person: Speaker, *, called: bool = False
    ) -> Answer | None:
        """None where it is none of these here. Raises MillwrightError where it was not done.

        ``called``: it was said to somebody who listens there.
        """
        if not called and not self.listeners(command, sender, person):
            return None
        match command.verb:
            case Verb.FORGET:
                return self._forget(command, sender, person)
            case Verb.ANEW:
                return self._anew(command, sender, person)
            case Verb.REMEMBER:
                return self._remember(command, sender, person)
            case Verb.NOTES:
                return self._notes(command, sender, person)
        return None

    def _forget(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer:
        found = starting.conversation_of(person.principal, where(sender), command.received_at)
        count = services.forget(person.principal, found.pk, command.received_at)
        said = gettext(
            "Forgotten. Messages that were deleted: %(count)d. Notes and standing instructions stay: notes"
        )
        return Answer(said % {"count": count})

    def _anew(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer:
        found = starting.conversation_of(person.principal, where(sender), command.received_at)
        services.begin_anew(person.principal, found.pk, command.received_at)
        return Answer(gettext("A new conversation. What was said before can still be read, and is not used."))

    def _remember(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer | None:
        """In a room people say so to each other."""
        if not sender.private:
            return None
        if not command.argument:
            return Answer(gettext("Remember what? Write remember and what I am to keep to."))
        note = notes.instruct(person.principal, command.argument, command.received_at)
        said = gettext("I keep to this from now on (%(number)d): %(text)s")
        return Answer(
            said % {"number": note.pk, "text": note.text}, (_button(gettext("Take back"), "end", note),)
        )

    def _notes(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer:
        word, _, number = command.argument.partition(" ")
        if not word:
            return self._listed(command, sender, person)
        if not number.strip().isdecimal():
            return Answer(gettext("Write notes, or notes accept, notes reject or notes end and a number."))
        by, now, which = person.principal, command.received_at, int(number.strip()[:12])
        if word.lower() in _ACCEPT:
            return Answer(_said(gettext("Accepted: %(text)s"), notes.accept(by, which, now)))
        if word.lower() in _REJECT:
            return Answer(_said(gettext("Rejected: %(text)s"), notes.reject(by, which, now)))
        if word.lower() in _END:
            return Answer(_said(gettext("Ended: %(text)s"), notes.end(by, which, now)))
        return Answer(gettext("Write notes, or notes accept, notes reject or notes end and a number."))

    def _listed(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer:
        """In a room only what is the room's or the box's: others read it."""
        found = notes.notes(person.principal, limit=200)
        if not sender.private:
            room = starting.conversation_of(person.principal, where(sender), command.received_at)
            here = (NoteScope.BOX, room.pk)
            found = [one for one in found if one.scope == here[0] or one.conversation_id == here[1]]
        names = {
            NoteState.PROPOSED.value: gettext("proposed"),
            NoteState.ACCEPTED.value: gettext("accepted"),
            NoteState.STANDING.value: gettext("standing"),
        }
        lines = [f"{one.pk} {names[one.state]}: {one.text}" for one in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(gettext("There are more; the web admin shows all."))
        open_ones = [one for one in found if one.state == NoteState.PROPOSED]
        mine = [one for one in open_ones[: SHOWN // 2] if notes.may_review(person.principal, one)]
        buttons = [
            button
            for one in mine
            for button in (
                _button(gettext("Accept %(number)d") % {"number": one.pk}, "accept", one),
                _button(gettext("Reject %(number)d") % {"number": one.pk}, "reject", one),
            )
        ]
        return Answer("\n".join(lines) or gettext("There are no notes."), tuple(buttons))


def _button(label: str, word: str, note: AgentNote) -> Button:
    return Button(label, f"notes {word} {note.pk}")


def _said(text: str, note: AgentNote) -> str:
    return text % {"text": note.text}
