"""Arithmetic of a training step that is fused by hand: attention, dropout, GELU, layer normalisation, cross-entropy."""
