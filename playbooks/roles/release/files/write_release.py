"""Write a release's directory; say what was written.

    python3 write_release.py [--check] DIRECTORY FILES_JSON

FILES_JSON is {name: {"mode": "0755", "text": ...}}. A new directory appears whole, by one rename, so that a release is
either there or not. Each line printed is one change, made or (with --check) only foreseen; no line, no change.
"""

import argparse
import json
import os
import pathlib
import stat
import tempfile


def write(path, text, mode):
    """Write a file beside its place, then rename it there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.chmod(mode)
    os.replace(partial, path)


def differs(path, text, mode):
    """Tell whether the file is not there, says something else, or has another mode."""
    return not path.is_file() or path.read_text("utf-8") != text or stat.S_IMODE(path.stat().st_mode) != mode


def make(directory, files):
    """Make the directory with all its files."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    for name, (text, mode) in files.items():
        write(partial / name, text, mode)
    partial.chmod(0o755)
    os.rename(partial, directory)


def changes(directory, files, check):
    """Yield every change."""
    if not directory.is_dir():
        yield f"made {directory}"
        if not check:
            make(directory, files)
        return
    for name, (text, mode) in files.items():
        if differs(directory / name, text, mode):
            yield f"wrote {directory / name}"
            if not check:
                write(directory / name, text, mode)


def main():
    """Parse the command line and print the changes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("files", type=json.loads)
    options = parser.parse_args()
    files = {name: (file["text"], int(file["mode"], 8)) for name, file in options.files.items()}
    for change in changes(options.directory, files, options.check):
        print(change)


if __name__ == "__main__":
    main()
