"""How much may be done in a stretch of time: effects, seconds of work, tokens, and the same thing again."""
