"""Compares the masks of two tickets with each other and with chance, kernel by kernel.

  keras-lottery compare one.ticket other.ticket

Both tickets must come from one architecture. The table has a row for each kernel and one for all:
the weights that the first ticket keeps, the second, both, and either; the fraction of "either" that
both keep (jaccard), and of the smaller ticket (of min); the weights that two random tickets of
these sizes would share (chance), and by how many standard deviations these two share more (z).
"""

import argparse

from keras_lottery.commands import command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the arguments of the command.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    parser.add_argument("first", metavar="ONE.ticket", help="a ticket's file")
    parser.add_argument(
        "second", metavar="OTHER.ticket", help="the file of another ticket of the same architecture"
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the table.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        CommandError: A file is no ticket, or the tickets do not fit each other.
    """
    from keras_lottery.commands import quiet

    quiet.import_backend()
    from keras_lottery.tickets.file import TicketError
    from keras_lottery.tickets.ticket import Ticket

    try:
        print(Ticket.load(arguments.first).compare(Ticket.load(arguments.second)))
    except TicketError as error:
        raise command.CommandError(str(error)) from error
