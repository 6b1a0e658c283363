"""The shipped generator: varied faces of KaoKore's kind, mostly with the requested label."""

import torch

from kaokore import GENDERS
from kaokore.classify import load_classifier
from kaokore.stylegan import load_generator
from kaokore.stylegan.evaluate import conditional_accuracy


def test_samples_are_varied_and_have_the_requested_label():
    generator = load_generator("stylegan")
    assert generator.about["kid"] < 1, "one face repeated has 5.7, colours and outlines alone 1.4"
    for gender in GENDERS:
        draws = torch.Generator().manual_seed(0)
        faces = generator.synthesise(generator.sample_styles(32, draws, gender=gender), draws)
        assert faces.shape == (32, 3, 64, 64)
        distances = torch.cdist(faces.flatten(1), faces.flatten(1)) / faces[0].numel() ** 0.5
        assert distances[~torch.eye(32, dtype=torch.bool)].min() > 0.02, "no two are the same"
    assert conditional_accuracy(generator, load_classifier("kaokore-gender"), truncation=0.7) > 0.7
