"""gcfg's grammar as its documentation and scanner give it, written down a second time: what CCM and CSI would read.

Unlike gcfg it refuses sections and keys that come twice, since nothing of ours writes any.
"""

from __future__ import annotations

Sections = dict[tuple[str, str | None], dict[str, str]]


class GrammarError(Exception):
    """gcfg would refuse this."""


def parse(text: str) -> Sections:
    if "\x00" in text:
        raise GrammarError("NUL")
    sections: Sections = {}
    current: dict[str, str] | None = None
    at = 0
    while at < len(text):
        character = text[at]
        if character in " \t\r\n":
            at += 1
        elif character in ";#":
            at = _line_end(text, at)
        elif character == "[":
            header, at = _header(text, at + 1)
            if header in sections:
                raise GrammarError(f"{header} comes twice")
            current = sections[header] = {}
        else:
            if current is None:
                raise GrammarError("expected section header")
            key, value, at = _variable(text, at)
            if key in current:
                raise GrammarError(f"{key} comes twice")
            current[key] = value
    return sections


def _header(text: str, at: int) -> tuple[tuple[str, str | None], int]:
    name, at = _identifier(text, at)
    at = _skip(text, at)
    subsection = None
    if text[at : at + 1] == '"':
        subsection, at = _subsection(text, at + 1)
    if text[at : at + 1] != "]":
        raise GrammarError("expected right bracket")
    at = _skip(text, at + 1)
    if text[at : at + 1] not in ("\n", "", ";", "#"):
        raise GrammarError("expected EOL, EOF, or comment")
    return (name, subsection), at


def _subsection(text: str, at: int) -> tuple[str, int]:
    result = ""
    while text[at : at + 1] != '"':
        if text[at : at + 1] in ("", "\n"):
            raise GrammarError("string not terminated")
        if text[at] == "\\":
            at += 1
            if text[at : at + 1] not in ("\\", '"'):
                raise GrammarError("unknown escape sequence")
        result += text[at]
        at += 1
    return result, at + 1


def _variable(text: str, at: int) -> tuple[str, str, int]:
    key, at = _identifier(text, at)
    at = _skip(text, at)
    if text[at : at + 1] != "=":
        raise GrammarError("expected '='")
    value, at = _value(text, _skip(text, at + 1))
    return key.lower(), value, at


_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "t": "\t"}


def _value(text: str, at: int) -> tuple[str, int]:
    """Quoted and unquoted stretches; blanks at the end of an unquoted one do not count, a CR counts nowhere."""
    result, kept, quoted = "", 0, False
    while at < len(text) and (quoted or text[at] not in "\n;#"):
        character = text[at]
        at += 1
        if character == '"':
            quoted = not quoted
            kept = len(result)
        elif character == "\\":
            if text[at : at + 1] not in (_ESCAPES if quoted else ('"', "\n")):
                raise GrammarError("unknown escape sequence")
            result += _ESCAPES[text[at]] if quoted else text[at].strip("\n")
            at, kept = at + 1, len(result)
        elif character == "\n":
            raise GrammarError("string not terminated")
        elif character != "\r":
            result += character
            kept = len(result) if quoted or character not in " \t" else kept
    if quoted:
        raise GrammarError("string not terminated")
    return result[:kept], _line_end(text, at)


def _identifier(text: str, at: int) -> tuple[str, int]:
    end = at
    while end < len(text) and (
        text[end].isalpha() or (end > at and (text[end].isdigit() or text[end] == "-"))
    ):
        end += 1
    if end == at:
        raise GrammarError(f"illegal character at {at}")
    return text[at:end], end


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r"):
        at += 1
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
