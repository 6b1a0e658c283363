"""What survives in strokes: after how many can a classifier still tell who was painted?

`python -m experiments.recognizability paint` repaints labelled faces and asks the classifiers, face by face, and can be
stopped and gone on with; `report` makes the figures. `docs/legibility.md` shows them.
"""
