"""Random numbers for the tests of the classifiers."""

import torch


def random(seed=0):
    return torch.Generator().manual_seed(seed)
