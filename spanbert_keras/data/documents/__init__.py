"""Coreference documents in CoNLL-2012 and JSON lines."""
