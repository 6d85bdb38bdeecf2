"""Names that both sides of the gateway's messages use."""

PLATFORM = "gateway"
ANY = "any"
"""The conversation of every connected program that may chat: the first one that acknowledges has it."""

LONGEST_NAME = 200
