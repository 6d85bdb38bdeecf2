"""The one number that every effect looks at: it moves on with each change of what the gate decides by."""

MOVE_EPOCH = """
INSERT INTO safety_allstop AS s (id, epoch, level, since, by, reason) VALUES (1, 1, 'none', NULL, '', '')
ON CONFLICT (id) DO UPDATE SET epoch = s.epoch + 1
"""
"""A process that decided by what stood before sees that it is not the last, and reads again."""
