"""Make the directories and the secrets that a deploy needs under its home; say what was made.

    python3 prepare_home.py [--check] [--cache DIRECTORY --engine-user NUMBER] HOME DIRECTORY...

Each line printed is one change, made or (with --check) only foreseen; no line, no change. The API key is made here,
on the host, once, and is never printed: SGLang reads it from engine.yml (--config), curl from auth.header (-H @FILE).
With --cache the engine runs in a container, as user NUMBER: engine.yml and the cache are that user's.
"""

import argparse
import os
import pathlib
import secrets
import stat

PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600


def make_directory(path, mode, check):
    """Yield what had to be done so that `path` is a directory; `mode` None leaves an existing one's mode alone."""
    if not path.is_dir():
        yield f"made {path}"
        if not check:
            path.mkdir(parents=True, mode=mode or 0o755)
    elif mode is not None and stat.S_IMODE(path.stat().st_mode) != mode:
        yield f"closed {path} to others"
        if not check:
            path.chmod(mode)


def write_private(path, text):
    """Write `text` to `path`, never readable by others and never half written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(partial, path)


def read_key(path):
    """Return the key in a file that holds one or names it, '' for none.

    SGLang turns its configuration into a command line, where a key that begins with a dash is an option: no engine ever
    started with such a key, so it counts as none.
    """
    text = path.read_text() if path.is_file() else ""
    key = text.rpartition("api-key:")[2].strip()
    return "" if key.startswith("-") else key


def read_or_make_key(path, check):
    """Return (key, changes): the key in `path`, else the one that the engine was given, else a new one."""
    key = read_key(path)
    if key:
        return key, []
    key = read_key(path.with_name("engine.yml")) or secrets.token_hex(32)
    if not check:
        write_private(path, key + "\n")
    return key, [f"made {path}"]


def make_secrets(directory, check):
    """Yield what had to be done so that the three files hold the same key, readable by their owner alone."""
    key, changes = read_or_make_key(directory / "api.key", check)
    yield from changes
    wanted = {"engine.yml": f"api-key: {key}\n", "auth.header": f"Authorization: Bearer {key}\n"}
    for name, text in wanted.items():
        path = directory / name
        if not path.is_file() or path.read_text() != text:
            yield f"made {path}"
            if not check:
                write_private(path, text)
    for name in ("api.key", *wanted):
        path = directory / name
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) != PRIVATE_FILE:
            yield f"closed {path} to others"
            if not check:
                path.chmod(PRIVATE_FILE)


def give(path, user, check):
    """Yield what had to be done so that `path` is the engine's user's; one that is only foreseen is not there yet."""
    if path.exists() and path.stat().st_uid != user:
        yield f"gave {path} to user {user}"
        if not check:
            os.chown(path, user, user)


def changes(home, directories, cache, user, check):
    """Yield every change, in the order in which it is made."""
    for path in (home, *directories):
        yield from make_directory(path, None, check)
    secrets_directory = home / "secrets"
    yield from make_directory(secrets_directory, PRIVATE_DIRECTORY, check)
    yield from make_secrets(secrets_directory, check)
    if cache:
        yield from make_directory(cache, PRIVATE_DIRECTORY, check)
        for path in (cache, secrets_directory / "engine.yml"):
            yield from give(path, user, check)


def main():
    """Parse the command line and print the changes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cache", type=pathlib.Path)
    parser.add_argument("--engine-user", type=int)
    parser.add_argument("home", type=pathlib.Path)
    parser.add_argument("directories", type=pathlib.Path, nargs="*")
    options = parser.parse_args()
    os.umask(0o022)
    for change in changes(options.home, options.directories, options.cache, options.engine_user, options.check):
        print(change)


if __name__ == "__main__":
    main()
