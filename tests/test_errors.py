"""What titokzip raises on purpose: messages are one printable line, whatever they quote."""

import pytest

from titokzip.errors import ModelError, TitokzipError, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photo – café 木.jpg", "photo – café 木.jpg"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("caf\udce9", "caf\\udce9"),  # a byte that is no UTF-8, as the system hands it over
        ("\x9b31m\u202e", "\\x9b31m\\u202e"),
    ],
)
def test_what_is_not_printable_is_escaped(text, shown):
    assert printable(text) == shown
    assert str(ModelError(text)) == shown
    assert str(TitokzipError()) == ""
