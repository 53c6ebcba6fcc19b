"""Objects in storage: inputs, results, manifests, and links to them. Imports `media`, `network` and rules."""
