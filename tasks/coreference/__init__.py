"""Coreference resolution: CoNLL-2012 and files like it, WinoBias and GAP."""
