"""Named SQL of the vectors that are kept."""

READ_VECTORS = (
    'SELECT text, "values" FROM inference_vector WHERE encoder = %(encoder)s AND text = ANY(%(texts)s)'
)

KEEP_VECTOR = """
INSERT INTO inference_vector (encoder, text, "values", at) VALUES (%(encoder)s, %(text)s, %(values)s, now())
ON CONFLICT (encoder, text) DO NOTHING
"""

PRUNE_VECTORS = """
DELETE FROM inference_vector WHERE encoder = %(encoder)s AND id <= (
    SELECT id FROM inference_vector WHERE encoder = %(encoder)s ORDER BY id DESC OFFSET %(most)s LIMIT 1
)
"""
