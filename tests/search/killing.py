"""A process that trains with `Prune(backup=...)` as often as it is told, in children that may be
killed: `python killing.py FOLDER SETTING`, then a line of numbers on its input for each training.

A line is a number of seconds after the first batch, when the child is killed, or `inf`.
The answer is one line of JSON: how it ended, and a digest of the weights, masks and optimizer.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import select
import signal
import sys
import time
import warnings

import keras
import numpy as np

import keras_lottery as kl
from keras_lottery import schedules

EPOCHS = 12
SETTINGS = {
    "layerwise": {"schedule": schedules.polynomial(0.8, begin=1, end=10)},
    "random": {
        "schedule": schedules.geometric(0.2),
        "recipe": kl.Recipe("random", scope="globally"),
    },
    "steps": {"schedule": schedules.polynomial(0.8, begin=2, end=24, every=3), "unit": "step"},
    "executions": {"schedule": schedules.polynomial(0.8, begin=2, end=24), "unit": "step"},
    "to start": {"schedule": schedules.geometric(0.2), "rewind": kl.rewind.to_start()},
    "frozen": {
        "schedule": schedules.geometric(0.2, every=2, begin=1),
        "rewind": kl.rewind.to_epoch(1),
        "recipe": kl.Recipe(restart_from="reshuffle", hold_at="freeze"),
    },
    "double": {"schedule": schedules.geometric(0.2), "recipe": "least_change"},
    "overrides": {
        "schedule": schedules.constant(0.5, begin=3),
        "overrides": {"out": schedules.polynomial(0.3, begin=0, end=12)},
        "recipe": kl.Recipe(granularity=kl.granularity.blocks(2)),
    },
}


def train(folder, name, report):
    """Train, and report the end of the first epoch and of the training."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(64, "relu", name="fc"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Dense(4, name="out"),
        ]
    )
    model.compile("adam", "mse", steps_per_execution=2 if name == "executions" else 1)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 6)), rng.normal(size=(24, 4))
    prune = kl.Prune(**SETTINGS[name], backup=str(folder / "masks"))
    restore = keras.callbacks.BackupAndRestore(
        str(folder / "weights"), double_checkpoint=name == "double"
    )

    class Report(keras.callbacks.Callback):
        said = False

        def on_train_batch_end(self, batch, logs=None):
            if not self.said:
                self.said = True
                report({"at": "first batch"})

    model.fit(
        x,
        y,
        batch_size=12,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[Report(), prune, restore],
    )
    digest = hashlib.sha256()
    for variable in [*model.variables, *model.optimizer.variables]:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    for mask in prune.lottery.masks.values():
        digest.update(mask.tobytes())
    report({"at": "end", "digest": digest.hexdigest()})


def in_child(folder, name, seconds):
    """Train in a child, kill it after so many seconds of training, and return what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            warnings.simplefilter("ignore")
            train(folder, name, lambda said: os.write(writing, json.dumps(said).encode() + b"\n"))
        except Exception as error:
            said = {"at": "error", "error": f"{type(error).__name__}: {error}"}
            os.write(writing, json.dumps(said).encode() + b"\n")
        os._exit(0)
    os.close(writing)
    said, deadline = b"", None
    while True:
        left = None if deadline is None else max(0, deadline - time.monotonic())
        ready, _, _ = select.select([reading], [], [], left)
        if not ready:
            os.kill(child, signal.SIGKILL)
            break
        chunk = os.read(reading, 65536)
        if not chunk:
            break
        said += chunk
        if deadline is None and seconds != float("inf"):
            deadline = time.monotonic() + seconds
    os.close(reading)
    os.waitpid(child, 0)
    with contextlib.suppress(IndexError):
        last = json.loads(said.splitlines()[-1])
        if last["at"] != "first batch":
            return last
    return {"at": "killed"}


def main():
    folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    for line in sys.stdin:
        started = time.monotonic()
        answer = in_child(folder, name, float(line))
        print(json.dumps({**answer, "seconds": time.monotonic() - started}), flush=True)


if __name__ == "__main__":
    main()
