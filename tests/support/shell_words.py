"""A command's words as a shell reads them."""

import shlex


def shell_words(text: str) -> list[str]:
    """Split text into words; a backslash before the end of a line joins two lines, which `shlex` alone does not do."""
    return shlex.split(text.replace("\\\n", ""))
