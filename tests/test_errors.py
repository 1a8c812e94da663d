"""Messages are one line that any terminal can show, whatever names they contain."""

import os

from hypothesis import given
from hypothesis import strategies as st

from sat_exp.errors import UserError, one_line


@given(st.text(st.characters()))
def test_a_message_is_one_line_that_can_be_written(text: str) -> None:
    for message in (str(UserError(f"no {text}: give another")), one_line(ValueError(text))):
        assert message.isprintable()
        message.encode("utf-8")


def test_what_can_be_printed_stays() -> None:
    text = "model  résumé 模型 gives NaN: check its weights"
    assert str(UserError(text)) == text


def test_control_sequences_and_bytes_that_are_no_text_are_replaced() -> None:
    name = os.fsdecode(b"a\xff\x1b[31m\nb")
    assert str(UserError(f"no {name}")) == "no a��[31m b"


def test_a_message_in_an_error_is_cut() -> None:
    assert len(one_line(ValueError("long " * 1000))) == 200
