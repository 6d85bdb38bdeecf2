"""Measurements of the running product: each starts real processes in a home of its own."""
