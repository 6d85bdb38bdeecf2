"""Starting a task by what somebody said, where it is a sentence of one or the beginning of an agent's turn."""

from django.db import transaction
from django.utils.translation import gettext

from appliance.accounts.models import User
from appliance.agent.actions.agent import AgentParams
from appliance.agent.conversations import starting
from appliance.agent.conversations.starting import Where
from appliance.bridges.ports import Answer, ChatCommand, ChatSender
from appliance.processes import chat_buttons, chat_results
from appliance.processes.chat_buttons import Speaker
from appliance.processes.part_checks import nobody_answers
from appliance.runs.naming import SHORT
from appliance.runs.phrased import Begun, Message, begin, run_of
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.bodies import each_step
from appliance.tasks.phrase_table import Heard, Meant


def converses(definition: TaskDefinition) -> bool:
    """Whether one of its steps goes on with the conversation."""
    return any(
        isinstance(step.params, AgentParams) and step.params.conversation
        for step in each_step(definition.actions)
    )


def where(sender: ChatSender) -> Where:
    return Where(sender.platform, sender.conversation, sender.private)


def start(meant: Meant, command: ChatCommand, sender: ChatSender, person: Speaker, origin: str) -> Answer:
    """At most once for each ``command.key``: message, run and the wish to be told its end are one commit.

    Raises NotAllowed, ReadOnlyNow.
    """
    heard = Heard(meant.text, sender.platform, sender.conversation, sender.username)
    message = Message(heard, command.key, command.received_at, origin, command.forwarded)
    talks = converses(meant.armed.definition)
    with transaction.atomic():
        if talks:
            starting.heard(
                person.principal,
                where(sender),
                meant.text,
                command.received_at,
                key=command.key,
                run_id=run_of(message),
                language=command.language,
            )
        done = begin(meant, message, person.principal)
        if done.run_id is None:
            starting.take_back(run_of(message))
            said = gettext("%(task)s was not started: %(reason)s")
            return Answer(said % {"task": done.task, "reason": done.reason})
        chat_results.expect(done.run_id, sender, command.language, command.received_at, answers=talks)
    said = done.answer or (_taken(done, command) if talks else _started(done))
    return Answer(said, chat_buttons.cancel_for(str(done.run_id), done.task, person))


def _started(done: Begun) -> str:
    said = gettext("%(task)s has started: run %(run)s.")
    return said % {"task": done.task, "run": str(done.run_id)[-SHORT:]}


def _taken(done: Begun, command: ChatCommand) -> str:
    """What somebody hears who has asked an agent something."""
    run = {"run": str(done.run_id)[-SHORT:]}
    if done.waits:
        return gettext("Your last question is still under way; this one comes next: run %(run)s.") % run
    if nobody_answers(command.received_at):
        said = gettext("No model answers now. Your question waits for one: run %(run)s.") % run
        return f"{said}\n{gettext('Without a model I understand: status, tasks, run, runs, help.')}"
    return gettext("I look into it: run %(run)s.") % run


def origin_of(person: Speaker) -> str:
    """What a program says through the gateway is said by its token: it comes by the API, as all that it does."""
    return "chat" if isinstance(person, User) else ""
