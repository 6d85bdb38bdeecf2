"""From a sentence to what it means, without a model: similarity proposes, deterministic checks decide."""
