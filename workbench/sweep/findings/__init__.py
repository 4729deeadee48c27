"""What the records mean: effects, verdicts, recommendations, targets. Plain values in and out; draws nothing."""
