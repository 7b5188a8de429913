"""Layers of SpanBERT, written with `keras` alone: embeddings, encoder block, heads."""
