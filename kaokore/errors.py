"""The data set's error."""

from renderer.errors import InputError


class DatasetError(InputError):
    """KaoKore cannot give what was asked for. The message is one sentence that says what is wrong and what to do."""
