"""The studio without its page: documents that are painted live, edited with undo, saved, and exported; and a queue of jobs.

`presets` has the settings, `document` a painting in the making with its edits, `history` what keeps them on the disk,
`session_file` a document as one file, `canvas_cache` and `live` draw quickly, `hand_stroke` turns a drawn line into strokes,
`stroke_facts` tells about single strokes, `jobs` runs one heavy job at a time, `exports` writes files for other programs,
and `workspace` is the folder of all documents. Nothing here needs a page or a browser.
"""
