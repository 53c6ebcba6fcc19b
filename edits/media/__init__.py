"""Bytes of pictures: recognised, measured, cleaned. Imports rules alone."""
