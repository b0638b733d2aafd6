"""Record what a deploy left on this host, or compare the host with such a record.

    python3 converged.py record [--check] FILE INPUTS PATH...
    python3 converged.py compare FILE INPUTS PID

FILE lies in the release's directory. It holds INPUTS, a digest of what the playbook was given, and of each PATH its
kind, mode, owner, and a link's target or the digest of a file's content; of a path that is not there, nothing. PID is
the engine's main process. `record` prints one line where the record was written or (with --check) would be; `compare`
prints one line for each difference and changes nothing.
"""

import argparse
import hashlib
import json
import os
import pathlib
import stat


def look(path):
    """Return what is recorded of a path, None for one that is not there or cannot be read."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(found.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            content = ""
    except OSError:
        return None
    return [stat.filemode(found.st_mode), found.st_uid, found.st_gid, content]


def read(file):
    """Return the record, {} where there is none that can be read."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return {}


def record(file, inputs, paths, check):
    """Yield that the record was written, where it says something else now."""
    wanted = {"inputs": inputs, "paths": {path: look(pathlib.Path(path)) for path in paths}}
    if read(file) == wanted:
        return
    yield f"recorded what {file.parent.name} left"
    if not check:
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as text:
            json.dump(wanted, text)
        os.replace(partial, file)


def compare(file, inputs, pid):
    """Yield one sentence for each difference between the record and the host."""
    known = read(file)
    if not known:
        yield "no deploy has recorded this release"
    elif known["inputs"] != inputs:
        yield "the playbook or what it is given has changed"
    else:
        yield from (f"{path} has changed" for path, was in known["paths"].items() if look(pathlib.Path(path)) != was)
    try:
        runs = pathlib.Path(os.readlink(f"/proc/{pid}/cwd")).name
    except OSError:
        runs = "nothing"
    if runs != file.parent.name:
        yield f"process {pid} runs {runs}, not {file.parent.name}"


def main():
    """Parse the command line and print the lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("inputs")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    if options.action == "record":
        lines = record(options.file, options.inputs, options.words, options.check)
    else:
        lines = compare(options.file, options.inputs, *options.words)
    for line in lines:
        print(line)


if __name__ == "__main__":
    main()
