"""The life of a Preset."""
