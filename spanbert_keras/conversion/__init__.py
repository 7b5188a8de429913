"""Checkpoints in and out: Hugging Face, the research code, Google BERT, keras-hub; exports for serving."""
