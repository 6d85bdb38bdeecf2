"""Runbooks: Markdown files in a folder of the home, split at their headings and searched on the box itself."""
