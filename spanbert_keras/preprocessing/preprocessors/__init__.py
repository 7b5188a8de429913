"""From raw examples to the inputs, targets and sample weights of each task model."""
