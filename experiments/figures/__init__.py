"""Commands that make the figures and pages of the documentation."""
