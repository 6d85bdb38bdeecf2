"""What people and the agent have said to each other, and what of it a turn is told."""
