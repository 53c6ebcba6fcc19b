"""Tasks whose create has no answer, found in the provider's history. Imports `clients` and below."""
