"""Errors that a user can mend: bad input, named with the file, what was found, what was expected and what to do."""


class InputError(ValueError):
    """Raised for input that pfes cannot use; its message is meant for the user and needs no traceback."""
