"""The one kind of failure that is the user's to mend."""


class UserError(Exception):
    """Bad input or a missing resource; its message is one line: what was wrong and what to do."""
