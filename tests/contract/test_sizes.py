"""Small functions and files: the numbers of CONTRIBUTING.md."""

from statistics import median, quantiles

from tests.support.tree import ROOT, definitions, matching

FILE_LINES = 300
FUNCTION_LINES_MAX = 50
FUNCTION_LINES_P90 = 25
FUNCTION_LINES_MEDIAN = 8


def test_no_function_is_long() -> None:
    long = [f"{each}: {each.span}" for each in definitions() if each.span > FUNCTION_LINES_MAX]
    assert not long, f"functions over {FUNCTION_LINES_MAX} lines: {long}"


def test_most_functions_are_short() -> None:
    lines = [each.lines for each in definitions()]
    assert median(lines) <= FUNCTION_LINES_MEDIAN
    assert quantiles(lines, n=10)[-1] <= FUNCTION_LINES_P90


def test_no_python_file_is_long() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in matching("*.py")}
    assert not {name: lines for name, lines in long.items() if lines > FILE_LINES}
