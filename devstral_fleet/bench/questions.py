"""A file of questions: JSON lines of a question and an answer that ends with its number."""

import re

from pydantic import Field, ValidationError

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.model import Value

_NUMBER = re.compile(r"\d")
FORM = '{"question": "...", "answer": "... #### 18"}'


class Question(Value, extra="ignore"):
    """One line."""

    question: str = Field(min_length=1)
    answer: str


class QuestionFile(Value):
    """A file that was read: its text, to be sent as it is."""

    text: str
    sha256: str
    """Of its bytes."""
    rows: int


def rows(text: str, name: str) -> int:
    """Count the questions of a file.

    Raises:
        ConfigurationError: a line is no such question; the message names file and line.
    """
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        problem = _problem(line)
        if problem:
            raise ConfigurationError(f"{name}:{number}: {problem}", fix=f"each line is a question as {FORM}")
    return len(lines)


def _problem(line: str) -> str:
    try:
        found = Question.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}"
    return "" if _NUMBER.search(found.answer) else "answer: there is no number in it"


def asked(wanted: int, default: int, file: QuestionFile, shots: int) -> int:
    """Return how many questions are asked: those that are wanted, else the benchmark's, or all there are.

    Raises:
        ConfigurationError: the file has fewer than are wanted, or fewer than the prompt shows.
    """
    if max(wanted, shots) > file.rows:
        what = f"{wanted} questions were asked for" if wanted > file.rows else f"{shots} are shown in each prompt"
        raise ConfigurationError(f"{what}, the file has {file.rows}", fix="ask for fewer, or name a longer file")
    return wanted or min(default, file.rows)
