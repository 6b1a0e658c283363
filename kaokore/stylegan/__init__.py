"""A StyleGAN2 that dreams faces like those of KaoKore.

    dreamer = load_dreamer("runs/FOLDER/best.safetensors")
    draws = torch.Generator().manual_seed(0)
    faces = dreamer.paint(dreamer.styles(16, Dream("", gender="female"), draws), draws)  # (16, 3, S, S) in [0, 1]

`docs/stylegan.md` says how it is trained and what to expect.
"""

from kaokore.stylegan.generator import Dream, Dreamer, load_dreamer

__all__ = ["Dream", "Dreamer", "load_dreamer"]
