"""Annotation with a human in the loop: a classifier suggests labels, a person confirms or corrects them.

    python -m experiments.annotate --root data/kaokore --task status --out status.csv

`journal` keeps lines on disk, `annotations` interprets them, `label_table` writes labels in KaoKore's form, `collection`
lists and sorts the images, `queue` assigns faces to screens, and `page` (with `widgets`, `page_security` and `page.*`)
shows them in a browser. Only `page` and `widgets` need NiceGUI. `docs/annotation.md` describes the use.
"""
