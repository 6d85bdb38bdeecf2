"""What somebody has to acknowledge: who is told, who is next when nobody answers, and who did."""
