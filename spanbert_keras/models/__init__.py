"""Models: the encoder, the pretrainer and the task models."""
