"""Scripts that find tickets on real data: `python -m experiments.find_ticket --help`."""
