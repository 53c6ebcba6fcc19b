"""Edits in Redis: keys, fields, scripts and what they answer. Imports rules, `pacing` and `storage.layout`."""
