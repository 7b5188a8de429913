"""One process of a run: its lock, signals, record, checkpoints and saved models."""
