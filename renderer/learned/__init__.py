"""Learned brushes and their training."""
