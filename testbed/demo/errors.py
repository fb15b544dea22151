"""What ends the demo early; the text is for the person who watches it."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; the text says what is wrong and what to do."""
