"""Text to pieces, and pieces to masked pieces."""
