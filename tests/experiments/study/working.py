"""One worker of a study: `python working.py FLAGS`, with fast heartbeats if `GRACE` says so."""

import os
import sys

from absl import app

from experiments.study import __main__ as script
from experiments.study import storage, worker

if "GRACE" in os.environ:
    storage.HEARTBEAT = 1
    storage.GRACE = int(os.environ["GRACE"])
worker._POLL = 0.2

if __name__ == "__main__":
    app.run(script.main, argv=sys.argv)
