"""Let another host copy one folder from this one, for a while: a key of sshd's that may start one read-only rsync.

    python3 let_peer_in.py < WISH_JSON

WISH_JSON: key (a public key), and either folder and seconds (let it in) or nothing more (let it in no longer). Prints
{"user": who logs in, "keys": [sshd's public keys]} or {"error": ...}. The key expires by itself; the line of one that
nobody took out, because its controller died, goes with the next call.
"""

import fcntl
import glob
import hashlib
import json
import os
import pathlib
import pwd
import re
import shutil
import sys
import tempfile
import time

HOST_KEYS = "/etc/ssh/ssh_host_*_key.pub"
OURS = re.compile(
    r'restrict,expiry-time="(\d{12})",command="\S+ --server --daemon '
    rf"--config=({re.escape(tempfile.gettempdir())}/devstral-fleet-\w+\.conf) "
)


def login():
    """Return who came in by SSH, also where sudo made somebody else of them."""
    name = os.environ.get("SUDO_USER")
    return pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())


def given(path, who):
    """Make a path the user's own, where root made it."""
    if os.getuid() == 0:
        os.chown(path, who.pw_uid, who.pw_gid)


def configuration_of(key):
    return pathlib.Path(tempfile.gettempdir(), f"devstral-fleet-{hashlib.sha256(key.encode()).hexdigest()[:16]}.conf")


def rewrite(who, change):
    """Change the lines of the user's authorized_keys, alone and at once."""
    folder = pathlib.Path(who.pw_dir, ".ssh")
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        given(folder, who)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    file = pathlib.Path(os.path.realpath(folder / "authorized_keys"))
    before = file.read_text() if file.exists() else ""
    partial = file.with_name(f".{file.name}.devstral-fleet")
    with open(partial, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as whole:
        whole.write("".join(f"{line}\n" for line in change(before.splitlines())))
    if file.exists():
        shutil.copymode(file, partial)
    given(partial, who)
    partial.rename(file)


def without_expired(lines):
    """Leave out the lines of ours that let nobody in any more, and remove what they pointed to."""
    now = time.strftime("%Y%m%d%H%M")
    for line in lines:
        ours = OURS.match(line)
        if ours and ours[1] < now:
            pathlib.Path(ours[2]).unlink(missing_ok=True)
        else:
            yield line


def let_in(who, key, folder, seconds):
    """Write what the key may do: one module of rsync's, read only, whatever it asks for."""
    rsync = shutil.which("rsync")
    if not rsync:
        return {"error": "it has no rsync"}
    configuration = configuration_of(key)
    # Root's rsync would become nobody, who may not come to the folder.
    identity = "uid = 0\ngid = 0\n" if who.pw_uid == 0 else ""
    # A name for the other's address is looked for ten seconds long where no name server answers.
    text = f"use chroot = no\nreverse lookup = no\n{identity}[model]\npath = {folder}\nread only = yes\nlist = no\n"
    with open(configuration, "w", opener=lambda path, flags: os.open(path, flags | os.O_EXCL, 0o600)) as file:
        file.write(text)
    given(configuration, who)
    until = time.strftime("%Y%m%d%H%M", time.localtime(time.time() + seconds))
    command = f"{rsync} --server --daemon --config={configuration} ."
    line = f'restrict,expiry-time="{until}",command="{command}" {key}'
    rewrite(who, lambda lines: [*without_expired(lines), line])
    keys = [" ".join(pathlib.Path(path).read_text().split()[:2]) for path in sorted(glob.glob(HOST_KEYS))]
    return {"user": who.pw_name, "keys": keys}


def main():
    wish = json.load(sys.stdin)
    who, key = login(), wish["key"]
    if "folder" in wish:
        return let_in(who, key, wish["folder"], wish["seconds"])
    rewrite(who, lambda lines: [line for line in without_expired(lines) if key not in line])
    configuration_of(key).unlink(missing_ok=True)
    return {"user": who.pw_name, "keys": []}


if __name__ == "__main__":
    print(json.dumps(main()))
