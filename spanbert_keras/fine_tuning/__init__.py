"""Fine-tuning: one run, seeds and sweeps."""
