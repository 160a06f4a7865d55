"""Studies: many searches over a grid or ranges of settings, by any number of processes.

A study is a file (TOML), read by `definition.py`. Optuna orders the trials, and only that
(`storage.py`); a worker runs them (`worker.py`), each an order over pieces, so that nothing is
computed twice; `outcome.py` says what was found. The script is `python -m experiments.study`.
"""
