"""Pre-training: its settings, data, objective, evaluation and report."""
