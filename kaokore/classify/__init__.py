"""Classifiers of KaoKore faces: gender and social status.

    classifier = load_classifier("runs/FOLDER/best.safetensors")
    probabilities = classifier.probabilities(images)  # (B, 3, H, W) in [0, 1] -> (B, len(classifier.classes))

`docs/classifiers.md` describes their training and their accuracy.
"""

from kaokore.classify.classifier import Classifier, load_classifier
from kaokore.versions import CLASSES, Task

__all__ = ["CLASSES", "Classifier", "Task", "load_classifier"]
