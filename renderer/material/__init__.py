"""What a finished painting is drawn in: materials of strokes, papers, grounds and light.

Planning sees the smooth brush; drawing shows the material. `renderer.material.finish` says what is added,
`renderer.material.surface` draws it.
"""
