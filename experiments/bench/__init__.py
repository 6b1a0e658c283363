"""Benchmarks of speed and fidelity against named baselines."""
