"""Training: steps on each backend, the loop, checkpoints, evaluation, and what a person sees of them."""
