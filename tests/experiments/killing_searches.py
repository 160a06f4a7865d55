"""A process that imports everything and then searches in children that may be killed.

`python killing_searches.py FOLDER`, then a line with a number of seconds on its input for each
search: the child is killed so long after it began, or never for `inf`. The answer is one line:
`killed`, or `end` and the seconds that it took.
"""

import os
import pathlib
import select
import signal
import sys
import time

import sample_plans

# Imported, but nothing is computed before the children are forked: TensorFlow's threads would not
# be in them.
import keras_lottery.exporters.tflite
from experiments import engine


def search(folder):
    """Search with a checkpoint at every epoch, and export the last ticket."""
    import keras_lottery as kl
    from experiments.pieces.store import Store
    from keras_lottery.core import atomic_file

    engine.CHECKPOINT_EVERY = 0.0
    plan = sample_plans.small(iterations=8)
    plan.run(folder / "pieces")
    ticket = Store(folder / "pieces").load(plan.names()[2]).ticket()
    model = plan.experiment.network.build(plan.experiment.dataset.shape, 10)
    ticket.apply(model)
    kl.strip(model)
    file = keras_lottery.exporters.tflite.export(
        model, folder / "ticket.tflite", samples=plan.experiment.dataset.x_test, overwrite=True
    )
    atomic_file.write(folder / "report.txt", str(file).encode())


def main(folder):
    for line in sys.stdin:
        begin = time.monotonic()
        child = os.fork()
        if not child:
            search(folder)
            os._exit(0)
        handle = os.pidfd_open(child)
        seconds = float(line)
        ended, *_ = select.select([handle], [], [], None if seconds == float("inf") else seconds)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(handle)
        if ended and status:
            print(f"failed {status}", flush=True)
        elif ended:
            print(f"end {time.monotonic() - begin}", flush=True)
        else:
            print("killed", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
