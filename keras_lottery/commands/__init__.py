"""The commands of `keras-lottery` in a shell, a module for each.

A command is a module with `add_arguments(parser)` and `run(arguments)`; `__main__` finds it by its
name, and the scripts in a clone's `export/` add arguments of their own to it. `run` imports what is
slow to import, so that `--help` answers at once.
"""
