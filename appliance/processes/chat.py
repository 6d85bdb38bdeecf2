"""What chat commands do: the bridges' CommandHandler, over the same services as the web admin."""

from dataclasses import replace

from django.utils import timezone
from django.utils.translation import gettext, ngettext, override

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken, User
from appliance.accounts.tokens import still_good
from appliance.agent.router.voices import Heard
from appliance.bridges import liveness
from appliance.bridges.commands import help_text, parse_command, stop_level
from appliance.bridges.messages import Button
from appliance.bridges.ports import Answer, ChatCommand, ChatSender, Verb
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.lib.sentences import sentence_of
from appliance.processes import chat_acks, chat_buttons, chat_mutes, chat_results, chat_runs
from appliance.processes.chat_buttons import Speaker
from appliance.processes.chat_phrases import ChatPhrases
from appliance.processes.chat_routing import ChatRouting, Reply, Unclear
from appliance.processes.chat_starting import origin_of
from appliance.processes.chat_talk import WORDS, ChatTalk
from appliance.runs import approvals
from appliance.runs.models import Run
from appliance.runs.services import start_task
from appliance.safety import allstop
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.errors import ApprovalRefused
from appliance.safety.approvals.services import Word
from appliance.tasks import questions
from appliance.tasks.arming import Phrases
from appliance.tasks.doors import answer_question
from appliance.tasks.models import Task

_CHOICES = {
    "run": questions.Choice.RUN_ONCE,
    "once": questions.Choice.RUN_ONCE,
    "运行": questions.Choice.RUN_ONCE,
    "all": questions.Choice.RUN_ALL,
    "全部": questions.Choice.RUN_ALL,
    "skip": questions.Choice.SKIP,
    "跳过": questions.Choice.SKIP,
}

MOST_BUTTON = 64
"""Bytes of what a button means."""
_WORDS = {Verb.APPROVE: Choice.APPROVE, Verb.DENY: Choice.DENY}


class NotDone(MillwrightError):
    code = "chat.not_done"


def _speaker(sender: ChatSender) -> User | ApiToken:
    """Raises DoesNotExist for a person who is locked out, and for a token that has ended."""
    if sender.token_id is None:
        return User.objects.get(pk=sender.account_id, is_active=True)
    token = still_good(sender.token_id, timezone.now())
    if token is None:
        raise ApiToken.DoesNotExist
    return token


class ChatCommands:
    """Answers one command of a known person, in the language it was given in."""

    def __init__(self, routing: ChatRouting | None = None) -> None:
        phrases = Phrases()
        self._phrases = ChatPhrases(phrases)
        self._talk = ChatTalk(phrases)
        self.routing = routing or ChatRouting()

    async def handle(self, command: ChatCommand, sender: ChatSender) -> Answer | None:
        """Raises MillwrightError where it was not done, with the sentence for whoever asked.

        What takes a model's time is waited for in neither Django's thread nor the loop's.
        """
        answer = await in_django(self._done, command, sender)
        if not isinstance(answer, Unclear):
            return answer
        heard = await self.routing.listen(answer)
        last = await in_django(self._done, command, sender, heard)
        assert not isinstance(last, Unclear)
        return last

    def _answer(self, command: ChatCommand, sender: ChatSender) -> str:
        """What people read, whether it was done or not."""
        try:
            answer = self._done(command, sender)
        except MillwrightError as error:
            with override(command.language):
                return sentence_of(error)
        return answer.text if isinstance(answer, Answer) else ""

    def _done(
        self, command: ChatCommand, sender: ChatSender, heard: Heard | None = None
    ) -> Answer | Unclear | None:
        """``heard``: the sentence was unclear, and this is what the slow voices say of it."""
        with override(command.language):
            try:
                person = _speaker(sender)
                if heard is None:
                    answer = self._do(command, sender, person)
                else:
                    reply = self.routing.reply_to_heard(heard, command, sender, person)
                    answer = self._replied(reply, command, sender, person)
                if not isinstance(answer, Unclear):
                    self._talk.keep(command, sender, person, answer)
                return answer
            except (User.DoesNotExist, ApiToken.DoesNotExist) as error:
                raise NotDone(gettext("This account is switched off.")) from error
            except ApprovalRefused as error:
                raise NotDone(gettext("This cannot be decided by you now.")) from error

    def _do(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer | Unclear | None:
        if command.verb not in (Verb.UNKNOWN, Verb.STOP):
            self.routing.heard(command, sender, person)
        match command.verb:
            case Verb.STOP:
                return Answer(self._stop(command, person))
            case Verb.RUN:
                return self._run(command, person, sender)
            case Verb.ANSWER:
                return Answer(self._decide(command, person))
            case Verb.APPROVE | Verb.DENY:
                return Answer(self._approval(command, person, sender))
            case Verb.ACK:
                return Answer(chat_acks.acknowledge(command, sender, person, origin_of(person)))
            case Verb.STATUS:
                return Answer(self._status(person), chat_buttons.looks())
            case Verb.TASKS:
                return chat_runs.tasks(person)
            case Verb.RUNS:
                return chat_runs.runs(command.argument, person)
            case Verb.CANCEL:
                return Answer(chat_runs.cancel_one(command.argument, person))
            case Verb.MUTE:
                return Answer(chat_mutes.mute(command, sender, person))
            case Verb.UNMUTE:
                return Answer(chat_mutes.unmute(command, sender, person))
            case Verb.MUTES:
                return Answer(chat_mutes.listed(command, sender, person))
            case Verb.HELP | Verb.START:
                lines = [help_text(command.language), *self._phrases.help(sender, person)]
                return Answer("\n".join(lines), chat_buttons.looks())
            case Verb.FORGET | Verb.ANEW | Verb.REMEMBER | Verb.NOTES:
                said = self._talk.word(command, sender, person)
                if said is not None:
                    return said
        said = self._phrases.answer(command, sender, person, origin_of(person))
        if said is not None:
            return said
        return (self._routed if sender.private else self._called)(command, sender, person)

    def _routed(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer | Unclear | None:
        """Words that are no command: what the router takes them for, then whoever takes what nothing else understood.

        Only in private: in a group nobody may have spoken to the box.
        """
        listens = bool(self._talk.listeners(command, sender, person))
        reply = self.routing.reply(command, sender, person, otherwise=listens)
        if reply is None and listens:
            return self._talk.take(command, sender, person)
        return reply if isinstance(reply, Unclear) else self._replied(reply, command, sender, person)

    def _called(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Answer | Unclear | None:
        """In a room: only what was said to somebody who listens there, and that as if it was said in private."""
        found = self._talk.listeners(command, sender, person)
        if not found:
            return None
        meant = parse_command(
            found[0].text, key=command.key, received_at=command.received_at, language=command.language
        )
        if meant.verb in WORDS:
            return self._talk.word(meant, sender, person, called=True)
        if meant.verb is not Verb.UNKNOWN and meant.text != command.text:
            return self._do(meant, sender, person)
        reply = self.routing.reply(meant, sender, person, otherwise=True)
        if reply is None:
            return self._talk.take(command, sender, person)
        return reply if isinstance(reply, Unclear) else self._replied(reply, command, sender, person)

    def _replied(
        self, reply: Reply | None, command: ChatCommand, sender: ChatSender, person: Speaker
    ) -> Answer | Unclear | None:
        """A command that is meant is carried out as if it was written, as long as it is no order to stop."""
        if reply is None:
            return None
        if not reply.carry_out:
            offered = [one for one in reply.commands if len(one.encode()) <= MOST_BUTTON]
            return Answer(reply.text, tuple(Button(one, one) for one in offered))
        meant = parse_command(
            reply.carry_out, key=command.key, received_at=command.received_at, language=command.language
        )
        if meant.verb in (Verb.UNKNOWN, Verb.STOP):
            return None
        done = self._do(replace(meant, text=command.text, language=command.language), sender, person)
        if reply.note and isinstance(done, Answer):
            return replace(done, text=f"{reply.note}\n{done.text}")
        return done

    def _stop(self, command: ChatCommand, person: Speaker) -> str:
        person.principal.require(Ability.STOP_ALL)
        level, said = stop_level(command.argument)
        reason = said or gettext("by chat")
        state = allstop.engage(level, reason, person.principal, command.received_at)
        return gettext("All-stop is on (%(level)s). An engineer releases it in the web admin.") % {
            "level": state.level.value
        }

    def _run(self, command: ChatCommand, person: Speaker, sender: ChatSender) -> Answer:
        if not person.can_somewhere(Ability.RUN_TASKS):
            person.principal.require(Ability.RUN_TASKS)
        name = command.argument.strip()
        if not name:
            return Answer(gettext("Which task? Tasks here: %(names)s") % {"names": self._names()})
        run_id = start_task(
            name,
            person.principal,
            command.received_at,
            origin=origin_of(person),
            reason=f"{person.principal.name.partition(':')[2]}: {command.text[:200]}",
            key=command.key,
        )
        chat_results.expect(run_id, sender, command.language, command.received_at)
        said = gettext("Started %(task)s, run %(run)s.") % {"task": name, "run": str(run_id)[-8:]}
        return Answer(said, chat_buttons.cancel_for(str(run_id), name, person))

    def _decide(self, command: ChatCommand, person: Speaker) -> str:
        """``answer K7Q2M run``: what is to become of missed times."""
        code, _, word = command.argument.strip().partition(" ")
        choice = _CHOICES.get(word.strip().lower())
        if choice is None:
            return gettext("Write answer, the code, and one of run, all or skip.")
        done = answer_question(
            code, choice, person.principal, command.received_at, key=command.key, origin=origin_of(person)
        )
        if choice is questions.Choice.SKIP:
            return gettext("%(task)s: the missed times stay missed.") % {"task": done.task}
        count = len(done.runs)
        started = ngettext("%(task)s: %(count)d run started.", "%(task)s: %(count)d runs started.", count)
        said = started % {"task": done.task, "count": count}
        return f"{said} {done.refused}".rstrip()

    def _approval(self, command: ChatCommand, person: Speaker, sender: ChatSender) -> str:
        """``approve K7Q2MX``, ``deny K7Q2MX too hot``, or what a button carries."""
        first, _, reason = command.argument.strip().partition(" ")
        ref = first.strip(",:;，：；")
        if not ref:
            return gettext("Write approve or deny, and the code.")
        choice = _WORDS[command.verb]
        word = Word(
            choice,
            person.principal,
            Way.CHAT if isinstance(person, User) else Way.API,
            command.received_at,
            reason=reason.strip(" ,:;，：；"),
            key=command.key,
            # Who linked this chat to the person can have written this.
            minted_by=sender.linked_by,
        )
        done = approvals.decide(ref, word)
        said = gettext("Approved: %(what)s") if choice is Choice.APPROVE else gettext("Denied: %(what)s")
        return said % {"what": f"{done.task}, {done.step}"}

    def _status(self, person: Speaker) -> str:
        person.principal.require(Ability.VIEW)
        counts = {state: Run.whole.filter(state=state).count() for state in ("running", "queued", "waiting")}
        stop = allstop.current()
        deaf = [
            gettext("DEAF: %(name)s, since %(since)s UTC: %(message)s")
            % {
                "name": one.name,
                "since": f"{one.deaf_since:%Y-%m-%d %H:%M}",
                "message": gettext(one.message) if one.message else "",
            }
            for one in liveness.deaf(timezone.now())
        ]
        lines = [
            *deaf,
            gettext("Running %(running)d, queued %(queued)d, waiting %(waiting)d.") % counts,
            gettext("Tasks: %(names)s") % {"names": self._names()},
        ]
        if stop.level is not allstop.Level.NONE:
            lines.insert(
                0,
                gettext("ALL-STOP is on (%(level)s): %(reason)s")
                % {"level": stop.level.value, "reason": stop.reason},
            )
        return "\n".join(lines)

    def _names(self) -> str:
        names = Task.objects.filter(enabled=True).values_list("name", flat=True)[:20]
        return ", ".join(names) or gettext("none yet")
