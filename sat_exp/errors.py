"""The one kind of failure that is the user's to mend."""


class UserError(Exception):
    """Bad input or a missing resource; its message is one line: what was wrong and what to do."""


def one_line(error: BaseException) -> str:
    """The message of `error`, or of what caused it, as one line of at most 200 characters; its type's name if empty."""
    root = error.__cause__ or error
    return " ".join(str(root).split())[:200] or type(root).__name__
