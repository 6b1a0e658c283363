"""The one error of this package."""


class DatasetError(Exception):
    """The data set cannot give what was asked for. The message is one sentence that says what to do about it."""
