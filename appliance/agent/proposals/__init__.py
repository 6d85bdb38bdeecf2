"""Tasks that agents propose: a text beside the version that it was made from, which a person takes over or not."""
