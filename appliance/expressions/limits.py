"""What one expression may be, take and give. The first five are checked before the parser sees the text."""

LONGEST_SOURCE = 64 * 1024
"""Characters of a text with its expressions."""

LONGEST_EXPRESSION = 2000
"""Characters between ``{{`` and ``}}``."""

MOST_BLOCKS = 200
"""``{{ }}`` and ``{% %}`` in one text."""

DEEPEST_BRACKETS = 25
"""Brackets inside brackets: each level costs Jinja's parser a dozen frames."""

MOST_PREFIXES = 40
"""``not``, ``else`` and signs in one expression: each may cost the parser a frame."""

DEEPEST_TREE = 80
"""Levels of a syntax tree; a chain such as ``a + b + c`` is one level per sign."""

DEEPEST_BLOCKS = 8
"""``{% if %}`` and ``{% for %}`` inside one another."""

MOST_STEPS = 200_000
"""What one rendering may take: a step is an operation in a loop, a member looked at, or some characters."""

CHARACTERS_PER_STEP = 32

MOST_ROUNDS = 1000
"""Members that one ``{% for %}`` goes over."""

LONGEST_TEXT = 1024 * 1024
"""Characters of a text that an expression makes."""

LARGEST_INT = 2**63 - 1
"""Whole numbers end here, on both sides of 0."""
