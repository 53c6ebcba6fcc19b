"""Bytes of pictures: what they are, and how they become clean. Imports rules alone."""
