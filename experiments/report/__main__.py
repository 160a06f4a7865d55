"""Writes a page of one run or study, or of several side by side.

  python -m experiments.report runs/ticket
  python -m experiments.report runs/find_ticket-mnist-lenet_300_100 runs/study-criteria

The page is one HTML file that needs no network; beside it are the figures as PNG and PDF, and the
tables as CSV, in --output or in report/ of the first folder. Nothing is trained.
"""

import pathlib

from absl import app, flags

import experiments.flags  # noqa: F401 (it defines those that are declared here)
from experiments.script import errors_on_one_line
from keras_lottery.commands import quiet

FLAGS = flags.FLAGS

flags.declare_key_flag("pieces")
flags.declare_key_flag("output")


def main(argv):
    """Writes the page of the folders that the command line names."""
    with errors_on_one_line("report", ValueError, OSError):
        folders = [pathlib.Path(name) for name in argv[1:]]
        if not folders:
            raise ValueError("Name the folders of one run or study, or of several; see --help.")
        quiet.import_tensorflow()
        from experiments import results
        from experiments.pieces.store import Store
        from experiments.report import page

        store = Store(FLAGS.pieces)
        names = [folder.name for folder in folders]
        if len(set(names)) < len(names):  # they would be taken for one another
            names = [str(folder) for folder in folders]
        if len(set(names)) < len(names):
            raise ValueError(f"A folder is named twice: {', '.join(names)}.")
        sections = []
        for name, folder in zip(names, folders, strict=True):
            asked, found = results.read(folder, store)
            del asked["plan"]
            sections.append(page.Section(name, asked, found))
        output = pathlib.Path(FLAGS.output or folders[0] / "report")
        print(page.write(sections, store, output))


if __name__ == "__main__":
    app.run(main)
