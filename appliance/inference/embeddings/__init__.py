"""Vectors of short texts: hashed n-grams that need nothing, and an encoder that the keeper serves."""
