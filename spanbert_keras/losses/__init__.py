"""Losses of SpanBERT, written with `keras` alone."""
