"""Permission asked and given: rows that bind a person's word to one exact action."""
