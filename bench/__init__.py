"""Benchmarks of Undula, each against its peer in the same run: `python -m bench`."""
