"""Reference brushes, and mixtures of brushes."""
