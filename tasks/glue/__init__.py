"""GLUE, and your own labelled texts or pairs of texts."""
