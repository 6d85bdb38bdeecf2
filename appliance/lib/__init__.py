"""Leaves: one noun a file. Nothing here knows Django or another area."""
