"""The error for invalid input."""


class InputError(ValueError):
    """Input from outside cannot be used. The message is one line that says what is wrong and what to do."""
