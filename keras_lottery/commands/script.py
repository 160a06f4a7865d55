"""The beginning of a script whose settings are absl flags."""

import sys
from collections.abc import Sequence

from keras_lottery.commands import quiet


def begin(argv: Sequence[str]) -> None:
    """Refuses arguments that are no flags, and imports TensorFlow in silence.

    Args:
        argv: The rest that absl leaves of the command line: the script's name, and what is no flag.
    """
    refuse_arguments(argv)
    quiet.import_tensorflow()


def refuse_arguments(argv: Sequence[str]) -> None:
    """Ends the script with one line if an argument is no flag; see `begin`.

    >>> refuse_arguments(["size_table", "5"])
    Traceback (most recent call last):
    ...
    SystemExit: Unexpected '5': every setting is a flag, as in --name=5. See --help.
    """
    if len(argv) > 1:
        sys.exit(
            f"Unexpected {argv[1]!r}: every setting is a flag, as in --name={argv[1]}. See --help."
        )
