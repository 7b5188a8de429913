"""Checkpoints of other programs and our own: names of tensors, configurations, vocabularies, containers."""
