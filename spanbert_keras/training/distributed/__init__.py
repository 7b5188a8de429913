"""Devices and workers that share every step, and what they do when one of them is lost."""
