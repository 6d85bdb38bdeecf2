"""What the plant must be like for an effect: last values, maintenance windows, lock-outs by persons."""
