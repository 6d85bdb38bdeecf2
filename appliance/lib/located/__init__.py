"""Files that people write: YAML with the place of everything, and what is wrong with it, by line and column."""
