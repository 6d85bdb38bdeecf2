"""Small problems of a plant, each with a check of what became of the world."""
