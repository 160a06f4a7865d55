"""Compares the masks of two tickets with each other and with chance, kernel by kernel.

  keras-lottery compare one.ticket other.ticket

Both must come from one architecture. For each kernel and overall: how many weights each ticket
keeps, how many both, how many either; the share of these that both keep, and of the smaller
ticket; how many two random tickets of their sizes would share, and how many standard deviations
(z) these share more.
"""

import argparse

from keras_lottery.commands import command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines what the command takes.

    Args:
        parser: An `argparse.ArgumentParser`.
    """
    parser.add_argument("first", metavar="ONE.ticket", help="a ticket's file")
    parser.add_argument("second", metavar="OTHER.ticket", help="another's, of one architecture")


def run(arguments: argparse.Namespace) -> None:
    """Prints the table.

    Args:
        arguments: What a parser with `add_arguments` made of a command line.

    Raises:
        CommandError: A file is no ticket, or they do not fit each other.
    """
    from keras_lottery.commands import quiet

    quiet.import_backend()
    from keras_lottery.tickets.file import TicketError
    from keras_lottery.tickets.ticket import Ticket

    try:
        print(Ticket.load(arguments.first).compare(Ticket.load(arguments.second)))
    except TicketError as error:
        raise command.CommandError(str(error)) from error
