"""Relation extraction: TACRED, Re-TACRED and files like them."""
