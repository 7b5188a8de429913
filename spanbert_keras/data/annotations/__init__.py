"""Mentions of a prepared corpus: annotators, the files that they fill, and reading these for masking."""
