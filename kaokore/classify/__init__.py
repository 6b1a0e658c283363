"""Classifiers of KaoKore faces: gender and social status.

    classifier = load_classifier("runs/FOLDER/best.safetensors")
    probabilities = classifier.probabilities(images)  # (B, 3, H, W) in [0, 1] -> (B, len(classifier.classes))

`docs/classifiers.md` says how they are trained and how good they are.
"""

from kaokore.classify.classifier import CLASSES, Classifier, load_classifier

__all__ = ["CLASSES", "Classifier", "load_classifier"]
