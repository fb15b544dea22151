"""Which question may be answered without a person, and how."""

from __future__ import annotations

import pytest

from vsphere_operator.vsphere.questions import Choice, Question, decode, ejecting_choice, is_cdrom_lock
from vsphere_operator.vsphere.vmomi import vim

LOCK = "msg.cdromdisconnect.locked"
YES_NO = (Choice("0", "Yes"), Choice("1", "No"))


def asked(
    *choices: tuple[str, str], ids: tuple[str, ...] = (LOCK,), text: str = "Override the lock?"
) -> Question:
    infos = [vim.ElementDescription(key=key, label=label, summary=label) for key, label in choices]
    return decode(
        vim.vm.QuestionInfo(
            id="17",
            text=text,
            choice=vim.option.ChoiceOption(choiceInfo=infos, defaultIndex=1),
            message=[vim.vm.Message(id=i, text="") for i in ids],
        )
    )


def test_a_question_is_read_with_its_choices_and_message_ids() -> None:
    question = asked(("0", "Yes"), ("1", "No"))
    assert question == Question("17", "Override the lock?", YES_NO, (LOCK,))


@pytest.mark.parametrize(
    ("question", "choice"),
    [
        (asked(("0", "Yes"), ("1", "No")), "0"),
        (asked(("0", "No"), ("1", "Yes")), "1"),
        (asked(("0", "button.yes"), ("1", "button.no")), "0"),
        (asked(("0", ""), ("1", "")), "0"),
        (asked(("0", "Yes"), ("1", "No"), ids=(), text=f"{LOCK}:The guest has locked the door."), "0"),
        (asked(("0", "Ja"), ("1", "Nein")), None),
        (asked(("0", ""), ("1", ""), ("2", "")), None),
        (Question("17", "", (), (LOCK,)), None),
        (asked(("0", "Yes"), ("1", "No"), ids=("msg.uuid.altered",)), None),
        (asked(("0", "Yes"), ("1", "No"), ids=(LOCK, "msg.uuid.altered")), None),
        (asked(("0", "Yes"), ("1", "No"), ids=(), text=f"Some mention of {LOCK}"), None),
    ],
    ids=["as usual", "turned round", "by key", "no labels", "by text only", "another language", "three choices",
         "no choice", "another question", "more than that question", "a mention"],
)  # fmt: skip
def test_only_the_lock_of_the_cd_is_overridden(question: Question, choice: str | None) -> None:
    assert ejecting_choice(question) == choice


def test_the_question_is_told_by_its_id_not_by_its_language() -> None:
    assert is_cdrom_lock(asked(("0", "Ja"), ("1", "Nein"), text="Trotzdem trennen?"))
