"""The verbs of ``manage.py models``: each file here exposes one as ``VERB``; nothing else names it."""
