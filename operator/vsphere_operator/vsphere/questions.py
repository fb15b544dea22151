"""What a VM asks before it goes on, and the one question that may be answered without a person. Pure.

Eject a CD that the guest has locked, and the VM stands still until somebody says whether to override the lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_CDROM_LOCK = "msg.cdromdisconnect.locked"
_YES = frozenset({"yes", "button.yes"})
"""How the choice is called, in the session's language (we log in with `en`) or as a message key."""
_YES_KEY = "0"
"""The key of "yes" among exactly two choices, as Terraform's provider, CloudStack and veewee send it."""


@dataclass(frozen=True, slots=True)
class Choice:
    key: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """`runtime.question`: a powered-on VM stands still until it is answered."""

    id: str
    text: str
    choices: tuple[Choice, ...] = ()
    message_ids: tuple[str, ...] = ()
    """What it is about, in every language the same: `msg.cdromdisconnect.locked`."""


def decode(info: Any) -> Question:
    """A `VirtualMachineQuestionInfo` -> its record."""
    choices = info.choice.choiceInfo if info.choice is not None else ()
    return Question(
        id=info.id,
        text=info.text or "",
        choices=tuple(Choice(str(c.key), c.label or c.summary or "") for c in choices or ()),
        message_ids=tuple(m.id for m in info.message or ()),
    )


def is_cdrom_lock(question: Question) -> bool:
    """Whether it asks only if a CD that the guest has locked may be taken away all the same."""
    if question.message_ids:
        return set(question.message_ids) == {_CDROM_LOCK}
    # Before vSphere 5 the message's id stood at the beginning of the text only.
    return question.text.startswith(_CDROM_LOCK)


def ejecting_choice(question: Question) -> str | None:
    """The key of the choice that lets an eject go on; `None` for any other question and where in doubt."""
    if not is_cdrom_lock(question):
        return None
    named = [c.key for c in question.choices if c.label.strip().lower() in _YES]
    if len(named) == 1:
        return named[0]
    unlabelled = not any(c.label for c in question.choices)
    return _YES_KEY if unlabelled and {c.key for c in question.choices} == {"0", "1"} else None
