"""What runtimes do with a file: run it, time it, misread it, and compute it sparsely or not."""
