"""The one kind of failure that is the user's to mend."""


class UserError(Exception):
    """Bad input or a missing resource; its message is one line: what was wrong and what to do.

    Names in it may come from other people's files: what cannot be printed on one line is replaced.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """`text` on one line: line breaks and tabs are spaces, other characters that cannot be printed are �."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "�" for letter in text)


def one_line(error: BaseException) -> str:
    """The message of `error`, or of what caused it, as one line of at most 200 characters; its type's name if empty."""
    root = error.__cause__ or error
    return printable(" ".join(str(root).split()))[:200] or type(root).__name__
