"""Layers of the coreference model."""
