"""What nothing else understood goes to the assistant, and its answer comes to where it was asked, once."""

import re

from appliance.agent.conversations.models import AgentMessage
from tests.integration.agent.conversations.conftest import NOTHING_CHANGED, Talk, run_in
from tests.scripted_model import end, turn

LOOK = ("readings.last", {"topic": "plant/"})


async def test_a_question_becomes_a_run_of_the_person_and_its_answer_is_told_there(talk: Talk) -> None:
    script = talk.says(turn(LOOK), end("Pump 3 is at 82 °C."))
    heard = await talk.tell("why is the third pump so hot today?")
    row = await talk.newest_run()
    assert (row["principal"], row["origin"], row["trigger"]) == ("user:anna", "chat", "talk")
    assert str(row["id"]).endswith(run_in(heard.text))
    assert heard.buttons == (f"cancel {row['id']}",)
    await talk.work()
    assert (await talk.newest_run())["state"] == "succeeded"
    assert await talk.delivered() == [("telegram", "c7", {"text": f"Pump 3 is at 82 °C.{NOTHING_CHANGED}"})]
    assert await talk.kept() == [
        ("person", "anna", "why is the third pump so hot today?"),
        ("agent", "assistant", "Pump 3 is at 82 °C."),
    ]
    assert "why is the third pump so hot today?" in script.told(0)


async def test_the_same_message_twice_is_one_run_and_one_answer(talk: Talk) -> None:
    talk.says(end("Yes."))
    first = await talk.tell("is all well down there?", key="chat/telegram/7/0")
    second = await talk.tell("is all well down there?", key="chat/telegram/7/0", keep_time=True)
    assert run_in(first.text) == run_in(second.text)
    await talk.work()
    assert len(await talk.delivered()) == 1
    assert len(await talk.kept()) == 2


async def test_what_the_box_knows_itself_wakes_no_model_and_is_part_of_the_conversation(talk: Talk) -> None:
    script = talk.says()
    assert "Running 0" in (await talk.tell("status")).text
    assert script.asked == []
    assert await talk.count("runs_run") == 0
    assert [speaker for speaker, _, _ in await talk.kept()] == ["person", "box"]


async def test_who_may_not_start_it_is_answered_as_before_and_leaves_nothing(talk: Talk) -> None:
    heard = await talk.tell("why is the third pump so hot today?", who="vic")
    assert heard.text == ""
    assert await talk.count("runs_run") == 0
    assert await talk.kept() == []


async def test_nothing_said_in_a_room_is_taken(talk: Talk) -> None:
    heard = await talk.tell("why is the third pump so hot today?", private=False, place="hall")
    assert heard.text == ""
    assert await talk.count("runs_run") == 0


async def test_a_failure_is_told_in_a_sentence_with_what_works_without_a_model(talk: Talk) -> None:
    await talk.tell("why is the third pump so hot today?")
    talk.says(*(["prose, and no JSON"] * 12))
    await talk.work()
    (told,) = await talk.delivered()
    assert told[2]["text"].startswith("assistant failed: run ")
    assert "Without a model I understand: status" in told[2]["text"]
    assert (await talk.kept())[-1][0] == "box"


async def test_a_second_question_waits_for_the_first_and_knows_its_answer(talk: Talk) -> None:
    script = talk.says(end("It has 82 °C."), end("Yes, too hot."))
    await talk.tell("how hot would you say it is over there?")
    heard = await talk.tell("and would you say that this is too much?")
    assert "still under way" in heard.text
    assert await talk.state((await talk.newest_run())["id"]) == "waiting:turn"
    await talk.work()
    answers = [told[2]["text"].removesuffix(NOTHING_CHANGED) for told in await talk.delivered()]
    assert answers == ["It has 82 °C.", "Yes, too hot."]
    assert "It has 82 °C." in script.told(1)
    assert "how hot would you say it is over there?" in script.told(1)
    assert "and would you say" not in script.told(0)


async def test_the_conversation_follows_the_person_to_another_platform_and_nobody_else(talk: Talk) -> None:
    script = talk.says(end("It is 82 °C."), end("As I said: 82 °C."), end("Hello, Bert."))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    await talk.tell("what was that you said about the heat?", platform="webchat", place="user:anna")
    await talk.work()
    await talk.tell("do you happen to know what anna asked?", who="bert", place="c8")
    await talk.work()
    assert "It is 82 °C." in script.told(1)
    assert "82 °C" not in script.told(2)
    assert [told[:2] for told in await talk.delivered()] == [
        ("telegram", "c7"), ("webchat", "user:anna"), ("telegram", "c8"),
    ]  # fmt: skip


async def test_what_was_said_before_taints_and_the_persons_own_sentence_does_not(talk: Talk) -> None:
    talk.says(end("Yes."), end("Yes again."))
    await talk.tell("is all well down there?")
    await talk.work()
    await talk.tell("and now, is it well still?")
    await talk.work()
    rows = await talk.sql("SELECT output FROM runs_step WHERE kind = 'agent_turn' ORDER BY run_id, position")
    assert [row["output"]["outside"] for row in rows] == [False, True]


async def test_a_long_answer_is_a_file_where_the_platform_takes_it_as_no_message(talk: Talk) -> None:
    talk.says(end("hot " * 2000))
    await talk.tell("tell me everything about the heat over there")
    await talk.work()
    ((_, _, message),) = await talk.delivered()
    assert message["attach_name"] == "answer.txt"
    assert len(message["attach"]) == 7999
    assert "answers at length" in message["text"]


async def test_forgotten_while_a_run_is_under_way_its_answer_is_told_and_not_kept(talk: Talk) -> None:
    talk.says(end("It is 82 °C."))
    await talk.tell("how hot would you say it is over there?")
    assert "deleted: 1" in (await talk.tell("forget the conversation")).text
    await talk.work()
    assert [told[2]["text"] for told in await talk.delivered()] == [f"It is 82 °C.{NOTHING_CHANGED}"]
    assert await talk.kept() == []


async def test_a_new_conversation_is_not_told_of_the_old_one_which_can_still_be_read(talk: Talk) -> None:
    script = talk.says(end("It is 82 °C."), end("Of what?"))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    await talk.tell("新对话")
    await talk.tell("what was that you said about the heat?")
    await talk.work()
    assert "82 °C" not in script.told(1)
    assert await AgentMessage.objects.filter(text__contains="82").acount() == 1


async def test_an_answer_to_a_question_from_before_a_new_conversation_is_told_and_not_used(
    talk: Talk,
) -> None:
    """The question was open still when the person began anew."""
    script = talk.says(end("It is 82 °C."), end("It is calm."), end("Of what?"))
    await talk.tell("how hot would you say it is over there?")
    await talk.tell("new conversation")
    await talk.work()
    await talk.tell("and how is it down here now?")
    await talk.work()
    await talk.tell("what was that you said about the place?")
    await talk.work()
    assert next(told[2]["text"] for told in await talk.delivered()) == f"It is 82 °C.{NOTHING_CHANGED}"
    assert "82 °C" not in script.told(1)
    assert "82 °C" not in script.told(2)
    assert "It is calm." in script.told(2), "an answer to a question of the new conversation is"


async def test_in_a_chinese_chat_the_box_speaks_chinese(talk: Talk) -> None:
    """From the first word to what failed: names, and what a parser says of a model's words, stay as they are."""
    talk.says(*(["prose, and no JSON"] * 12))
    heard = [
        await talk.tell(text)
        for text in ("三号泵为什么这么热？", "那它现在怎么样？", "笔记", "新对话", "记住")
    ]
    await talk.work()
    lines = [one.text for one in heard] + [str(told[2]["text"]) for told in await talk.delivered()]
    assert len(lines) == 7
    for line in lines:
        words = re.findall(r"[a-z]{3,}", re.sub(r"assistant|answer|[0-9a-f]{8}|Expecting value.*", "", line))
        assert not words, line
    assert "步骤 answer：3 轮没有进展" in lines[5]
