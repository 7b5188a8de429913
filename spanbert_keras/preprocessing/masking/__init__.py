"""Span masking: the masker, its law and its tables."""
