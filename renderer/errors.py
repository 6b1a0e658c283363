"""The one error that a person can mend."""


class InputError(ValueError):
    """Something given from outside cannot be used. The message is one sentence that says what is wrong and what to do."""
