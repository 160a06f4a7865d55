"""Names that a file brings along, made fit to be shown."""

# What a table or a sentence shows of a name at most.
_MOST = 1000


def printable(text: str, most: int = _MOST) -> str:
    """Text that can neither steer a terminal nor begin a line of its own.

    Args:
        text: What a file, or a file's name, says.
        most: How many of its characters to keep.

    Returns:
        The text; what is no visible character is escaped as in Python.

    >>> printable("kernel\\x1b[2J\\n## Proof")
    'kernel\\\\x1b[2J\\\\n## Proof'
    """
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in text[:most]
    )
    return shown if len(text) <= most else f"{shown}\N{HORIZONTAL ELLIPSIS}"
