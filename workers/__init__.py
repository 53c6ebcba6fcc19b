"""Worker processes: chains of steps that take edits from accepted to ended. Imports all rooms but `api` and `cli`."""
