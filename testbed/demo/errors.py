"""What ends the demo early; the text is for the person who watches it."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; the text says what is wrong and what to do."""


class StopRequested(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived; not an Exception, so that no handler of those swallows it."""
