"""YAML that yaml.v2, which CCM reads its configuration with, reads as it was meant.

Every text is a double-quoted scalar in ASCII. JSON's escapes will not do: they write a character beyond U+FFFF as
two surrogates, which yaml.v2 refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Scalar = str | int | bool
Tree = Mapping[str, "Scalar | Sequence[str] | Tree"]


def render(tree: Tree) -> bytes:
    return "".join(f"{line}\n" for line in _lines(tree, "")).encode()


def quoted(value: str) -> str:
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _lines(tree: Tree, indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in tree.items():
        # Host names may be all digits and dots, or hold colons: keys that are not plain words are quoted too.
        name = key if key.isascii() and key.isalpha() else quoted(key)
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        elif isinstance(value, str | int):
            lines.append(f"{indent}{name}: {_scalar(value)}")
        else:
            lines += [f"{indent}{name}:", *(f"{indent}  - {quoted(one)}" for one in value)]
    return lines


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else quoted(value)


def _escaped(character: str) -> str:
    number = ord(character)
    if character in '"\\':
        return "\\" + character
    if 0x20 <= number < 0x7F:
        return character
    if number <= 0xFF:
        return f"\\x{number:02X}"
    return f"\\u{number:04X}" if number <= 0xFFFF else f"\\U{number:08X}"
