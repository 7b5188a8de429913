"""Logits to answers, in NumPy alone."""
