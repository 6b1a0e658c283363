"""Recognizability of paintings: the accuracy of KaoKore's classifiers by painter and number of strokes.

`python -m experiments.recognizability paint` repaints labelled faces and classifies the paintings; it can be stopped and
resumed. `report` writes the tables and the figure of `docs/recognizability.md`.
"""
