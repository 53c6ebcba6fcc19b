"""All we know of the provider: its wire format, its errors, its client and its sandbox. Imports nothing of ours."""
