"""A script that loads one `.tflite` file, in a process of its own, and times it when told to.

    probe.py RUNTIME FILE

It prints `{"memory": bytes, "load": seconds}`, and then the seconds of one run for every line that
it reads. A file that the runtime cannot compute may end the process, memory can only be read off a
fresh one, and what ran in a process before may slow down what runs in it next. So `measure` starts
this file by its path, and it imports nothing of its own package.
"""

import json
import resource
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

# A sample is as many runs as take about this long: the clock alone takes 0.1 us.
_SAMPLE_SECONDS = 5e-4


def main(runtime: str, file: str) -> None:
    """Loads the file, and times a sample for every line of the input."""
    before, start = _resident(), time.perf_counter()
    interpreter = _interpreter(file, runtime)
    interpreter.invoke()
    load = time.perf_counter() - start
    _say({"memory": _resident() - before, "load": load})
    count = _repeats(interpreter)
    for _ in sys.stdin:
        # Once before: other processes ran meanwhile, and took the caches.
        interpreter.invoke()
        _say(_time(interpreter, count))


def _repeats(interpreter: Interpreter) -> int:
    _time(interpreter, 1)
    return max(1, round(_SAMPLE_SECONDS / _time(interpreter, 10)))


def _time(interpreter: Interpreter, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        interpreter.invoke()
    return (time.perf_counter() - start) / count


def _interpreter(file: str, runtime: str) -> Interpreter:
    resolver = {
        "XNNPACK": OpResolverType.AUTO,
        "built-in kernels": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    }[runtime]
    interpreter = Interpreter(file, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = rng.random(detail["shape"], dtype=np.float32)
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    return interpreter


def _resident() -> int:
    """The bytes of this process in RAM now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    # NumPy loads its generators when they are first used; that is not the file's memory.
    np.random.default_rng(0).random(1)
    main(*sys.argv[1:])
