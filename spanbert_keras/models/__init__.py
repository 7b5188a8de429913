"""Models: the encoder, the pretrainer and (later) the task models."""
