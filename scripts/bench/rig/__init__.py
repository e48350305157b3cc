"""The parts of the benchmark; `scripts/bench/README.md` says which is which."""
