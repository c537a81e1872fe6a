"""Descriptions of parameters in docstrings of three styles."""

import textwrap

import pytest

from gemini_live.functions.docstrings import read_parameter_docs

GOOGLE = """
    Book a table: now.

    Args:
        city: The city,
            with its country.
        guests (int, optional): How many come: at most 12.
        *args: Whatever else.
        unknown: Not a parameter.

    Returns:
        unit: Not about the parameter.
"""
NUMPY = """
    Book a table.

    Parameters
    ----------
    city : str
        The city,
        with its country.
    guests : int, optional
        How many come: at most 12.
    args
        Whatever else.

    Returns
    -------
    unit : str
        Not about the parameter.
"""
REST = """
    Book a table.

    :param city: The city,
        with its country.
    :param int guests: How many come: at most 12.
    :param args: Whatever else.
    :returns: city: not about the parameter.
    :rtype: str
"""


@pytest.mark.parametrize("doc", [GOOGLE, NUMPY, REST])
def test_each_style_is_read(doc: str) -> None:
    assert read_parameter_docs(doc, ["city", "guests", "unit", "args"]) == {
        "city": "The city, with its country.",
        "guests": "How many come: at most 12.",
        "args": "Whatever else.",
    }


@pytest.mark.parametrize(
    "doc",
    [
        "",
        "Say what the city is.",
        "city: not in a section",
        "Args:",
        "Args:\n    city:",
        "Returns:\n    city: not a parameter",
        "Example:\n    Args are city: x",
        "Raises\n------\ncity\n    never",
    ],
)
def test_other_docstrings_describe_no_parameter(doc: str) -> None:
    assert read_parameter_docs(doc, ["city"]) == {}


def test_text_after_the_section_is_not_part_of_it() -> None:
    doc = textwrap.dedent("""
        Do it.

        Args:
            city: The city.

        In the end, all is well.
    """)
    assert read_parameter_docs(doc, ["city", "In"]) == {"city": "The city."}
