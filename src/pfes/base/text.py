"""Words around numbers."""


def counted(number: int, what: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "problem"), counted(2, "problem")
    ('1 problem', '2 problems')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
