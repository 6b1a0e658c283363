"""The dreamer that ships: it dreams faces of KaoKore's kind, all of them different, and mostly what it is asked for."""

import torch

from kaokore import GENDERS
from kaokore.stylegan import Dream, load_dreamer
from kaokore.stylegan.evaluate import Evaluate, obedience


def test_its_dreams_are_various_and_obey():
    dreamer = load_dreamer("stylegan")
    assert dreamer.about["kid"] < 1, "a face repeated has 5.7, colours and outlines alone 1.4"
    for gender in GENDERS:
        draws = torch.Generator().manual_seed(0)
        faces = dreamer.paint(dreamer.styles(32, Dream("", gender=gender), draws), draws)
        assert faces.shape == (32, 3, 64, 64)
        distances = torch.cdist(faces.flatten(1), faces.flatten(1)) / faces[0].numel() ** 0.5
        assert distances[~torch.eye(32, dtype=torch.bool)].min() > 0.02, "no two are one"
    assert obedience(dreamer, "gender", Evaluate(truncation=0.7)) > 0.7
