"""Annotation with a human in the loop: a classifier suggests labels, a person confirms or corrects them.

    python -m experiments.annotate --root data/kaokore --task status --out status.csv

`journal.py` keeps lines on disk, `record.py` says what they mean, `queue.py` whose turn which face is, `table.py`
writes the labels as KaoKore does, `faces.py` finds and ranks faces, `page.py` (with `widgets.py` and
`page.*`) shows all that. Only the page needs NiceGUI. `docs/annotation.md` tells how to use it.
"""
