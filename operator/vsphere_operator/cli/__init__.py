"""The commands: `run` puts the rooms of the house together, `crds` renders the API."""
