"""Looks, shows, and waits with a deadline: everything that happens over and over while the demo runs."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from testbed.demo.errors import DemoError
from testbed.demo.kubernetes_client import Kubernetes, KubernetesError
from testbed.demo.kubernetes_view import KINDS, Object, conditions, row, rows
from testbed.demo.operator_process import Operator
from testbed.demo.picture import Caption, Check, Picture
from testbed.demo.vcenter_client import ERRORS, Reader
from testbed.demo.vcenter_view import CallCounter, look

_NO_ANSWER: tuple[type[Exception], ...] = (http.client.HTTPException, KubernetesError, *ERRORS)
_TICK = 0.25
_SILENCE = 20.0
"""Seconds without an answer after which the test bed counts as broken."""


class Display(Protocol):
    """What pictures are shown on."""

    def show(self, picture: Picture, caption: Caption) -> None:
        """Show a picture with words around it."""

    def close(self) -> None:
        """Show nothing any more."""


class TooLateError(DemoError):
    """Something did not happen in time; the text says what was waited for and what the objects say."""


@dataclass
class Sources:
    """Where pictures come from. `known` are the MoRefs that were there before."""

    kubernetes: Kubernetes
    reader: Reader
    counter: CallCounter
    known: frozenset[str]
    operator: Operator
    check_bed: Callable[[], None]
    """Raises DemoError when the test bed has ended."""


class Stage:
    """The demo's eyes and voice. Everything runs in the main thread, so that a signal ends it anywhere."""

    def __init__(self, sources: Sources, display: Display, started: float) -> None:
        self._sources = sources
        self._display = display
        self._started = started
        self._answered = time.monotonic()
        self._objects: dict[str, list[Object]] = {}
        self.picture = Picture()
        self.caption = Caption(log=str(sources.operator.log))

    def say(self, headline: str, *, done: bool = False, lines: tuple[str, ...] = ()) -> None:
        """Change the words around the picture."""
        self.caption = replace(self.caption, headline=headline, done=done, lines=lines)

    def add(self, *checks: Check) -> None:
        """Show the outcome of checks."""
        self.caption = replace(self.caption, checks=(*self.caption.checks, *checks))

    def tick(self) -> Picture:
        """Look, show, and pause until the next look is due.

        Raises DemoError when the operator or the test bed has died, or nothing has answered for a while.
        """
        began = time.monotonic()
        self._sources.check_bed()  # first: without it the operator ends, too
        self._sources.operator.check()
        self.picture = self._look()
        self.show()
        time.sleep(max(0.02, _TICK - (time.monotonic() - began)))
        return self.picture

    def show(self) -> None:
        """Show the last picture once more, with the words of now."""
        self._display.show(self.picture, self.caption)

    def until(
        self,
        what: str,
        condition: Callable[[Picture], bool],
        seconds: float,
        each: Callable[[Picture], None] | None = None,
    ) -> Picture:
        """Return the first picture for which a condition holds; `each` sees all pictures on the way.

        Raises TooLateError after `seconds`, with what the objects say.
        """
        deadline = time.monotonic() + seconds
        while True:
            picture = self.tick()
            if each:
                each(picture)
            if not picture.note and condition(picture):
                return picture
            if time.monotonic() > deadline:
                raise TooLateError(f"waited {seconds:.0f} s until {what}, in vain.\n{self.explain()}")

    def explain(self) -> str:
        """Return what each object that is not Ready says about itself."""
        lines = [f"last look: {self.picture.note}"] if self.picture.note else []
        for kind in KINDS:
            for item in self._objects.get(kind, []):
                shown = row(item)
                if not shown.is_ready:
                    lines.append(f"  {shown.full_name}: {shown.word}" + (" (being deleted)" * shown.deleting))
                    lines += [f"    {condition}" for condition in conditions(item)]
        return "\n".join(lines) or "  every object that is there says it is Ready"

    def _look(self) -> Picture:
        seconds = time.monotonic() - self._started
        sources = self._sources
        try:
            self._objects = {kind: list(sources.kubernetes.items(kind)) for kind in KINDS}
            view = look(sources.reader, sources.counter, sources.known)
        except _NO_ANSWER as error:
            return self._after_silence(error, seconds)
        self._answered = time.monotonic()
        return Picture(seconds=seconds, rows=rows(self._objects), vcenter=view)

    def _after_silence(self, error: Exception, seconds: float) -> Picture:
        words = " ".join(str(getattr(error, "msg", None) or error).split())[:200] or type(error).__name__
        if time.monotonic() - self._answered > _SILENCE:
            raise DemoError(f"the test bed has not answered for {_SILENCE:.0f} s: {words}") from error
        return replace(self.picture, seconds=seconds, note=f"a look failed: {words}")
