"""Tables of text, for terminals and for Markdown, and text from files made fit to be shown."""

import re
from collections.abc import Sequence

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(r"[&<>\\`|\[\]]")
_NUMBER = re.compile(r"([0-9][0-9,.]*( ?%)?)?")

# The most characters that a table or a sentence shows of a name.
_MOST = 1000


def text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal: columns of numbers to the right, others to the left.

    >>> print(text(("file", "bytes"), [("a.tflite", "1,024"), ("b.tflite", "64")]))
    file      bytes
    a.tflite  1,024
    b.tflite     64
    """
    cells = [tuple(map(printable, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [_is_numeric(column[1:]) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table in Markdown.

    >>> print(markdown(("file", "bytes"), [("a.tflite", "1,024")]))
    | file | bytes |
    |---|--:|
    | a.tflite | 1,024 |
    """
    right = [_is_numeric(column) for column in zip(*rows, strict=True)] or [False] * len(header)
    lines = [header, *rows]
    cells = ["| " + " | ".join(escaped(printable(cell)) for cell in row) + " |" for row in lines]
    rule = "|" + "|".join("--:" if numeric else "---" for numeric in right) + "|"
    return "\n".join([cells[0], rule, *cells[1:]])


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no HTML, links, pictures or ends of a cell in it.

    >>> escaped("<img src=x> [a|b]")
    '&lt;img src=x&gt; \\\\[a\\\\|b\\\\]'
    """
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), text)


def number(value: int) -> str:
    """An integer with thousands separated: `1,068,156`."""
    return f"{value:,}"


def printable(text: str, most: int = _MOST) -> str:
    """Text that can neither steer a terminal nor begin a line of its own.

    Args:
        text: Text from a file, or a file's name.
        most: How many of its characters to keep.

    Returns:
        The text, with characters that are not visible escaped as in Python.

    >>> printable("kernel\\x1b[2J\\n## Proof")
    'kernel\\\\x1b[2J\\\\n## Proof'
    """
    if len(text) <= most and text.isprintable():
        return text
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text[:most]
    )
    return shown if len(text) <= most else f"{shown}\N{HORIZONTAL ELLIPSIS}"


def _is_numeric(column: Sequence[str]) -> bool:
    return any(column) and all(_NUMBER.fullmatch(cell) for cell in column)
