"""Operations on the pixels of many strokes: one operation, one signature, several implementations.

Each module holds one operation as a public function. The function chooses the implementation:

- `reference`: PyTorch, on every device and in every precision; it defines what the operation computes.
- C (`*.c`, loaded by `renderer.ops.native`): single precision on the CPU, where a compiler is installed.
- Triton (`triton_*.py`): single precision on a GPU.

All implementations give the same values and gradients up to rounding. Callers never ask which one runs.

| operation | module |
|---|---|
| `composite`: strokes laid over a canvas | `composite` |
| `score_marks`, `composite_greedily`: marks in their optimal colours | `optimal_compositing` |
| `decode_stroke_map`: the alphas of `renderer.learned.stroke_map` | `decode_stroke_map` |
| `score_strokes`, `refine_each`, `refine_together`, `descend`, `squared_error`: all in one, only in C | `refine_strokes` |
| `decode_texture`: the alphas of `renderer.learned.neural_brush` | `decode_texture` |

**Patches.** Strokes touch boxes of varying size. The boxes of N strokes are given as

- `box` (N, 4): left, top, width, height in whole pixels; inside the canvas where a canvas is read or written,
- `start` (N,): where the pixels of each box begin in one row of memory of T pixels, which the boxes fill without gaps,
- `alpha` (T,): pixel (x, y) of box i is `alpha[start[i] + y * width + x]`.

`box` and `start` are int64 tensors on the device of `alpha`.
"""
