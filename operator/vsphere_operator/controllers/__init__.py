"""One folder a kind: gather, plan (pure), apply, status."""
