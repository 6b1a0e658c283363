"""A conditional StyleGAN2 that generates faces like those of KaoKore.

    generator = load_generator("stylegan")
    draws = torch.Generator().manual_seed(0)
    styles = generator.sample_styles(16, draws, gender="female")
    faces = generator.synthesise(styles, draws)  # (16, 3, S, S) in [0, 1]

`docs/stylegan.md` describes its training and its quality.
"""

from kaokore.stylegan.generator import FaceGenerator, load_generator

__all__ = ["FaceGenerator", "load_generator"]
