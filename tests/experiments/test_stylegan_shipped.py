"""The dreamer that ships: it dreams faces of KaoKore's kind, all of them different, and mostly what it is asked for."""

import torch

from experiments.classify import load_classifier
from experiments.stylegan import Dream, load_dreamer


def test_its_dreams_are_various_and_obey():
    dreamer = load_dreamer("stylegan")
    assert dreamer.about["kid"] < 1, "a face repeated has 5.7, colours and outlines alone 1.4"
    classifier = load_classifier("kaokore-gender")
    told = {}
    for gender in classifier.classes:
        draws = torch.Generator().manual_seed(0)
        faces = dreamer.paint(dreamer.styles(32, Dream("", gender=gender), draws), draws)
        assert faces.shape == (32, 3, 64, 64)
        distances = torch.cdist(faces.flatten(1), faces.flatten(1)) / faces[0].numel() ** 0.5
        assert distances[~torch.eye(32, dtype=torch.bool)].min() > 0.02, "no two are one"
        told[gender] = classifier.probabilities(faces).argmax(1).eq(classifier.classes.index(gender)).float().mean()
    assert sum(told.values()) / 2 > 0.7
