"""Commands, run folders, figures and benchmarks."""
