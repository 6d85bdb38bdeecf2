"""How Telegram is set up, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say("A bot and its token. Works behind any router."),
    steps=(
        say("In Telegram write /newbot to @BotFather, and choose a name for the bot."),
        say("Copy the token that it gives into the form."),
        say("Save, then write to the bot once: it can write to nobody who has not."),
    ),
    manual="how-to/telegram.md",
)
