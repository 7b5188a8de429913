"""Devices and workers that share a step."""
