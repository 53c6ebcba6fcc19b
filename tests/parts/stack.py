"""Fixtures of this part."""
