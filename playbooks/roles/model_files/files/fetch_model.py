"""Bring a model's files from a hub, each checked, all of them or none.

    python3 fetch_model.py WANTED_JSON

WANTED_JSON: repository, revision, endpoint, directory, files ({path: [bytes, hash]}), reserve_bytes, attempts,
longest_wait_s, copy (words that start rsync), and the mode: `bring` the files (by a Python that has huggingface_hub),
`copy` them by those words, `accept` what somebody put there, or `verify` what was brought. HF_TOKEN is the hub's alone.

The files grow in DIRECTORY.partial, which is renamed in the end with a manifest in it: a directory is complete or not
there. What came before an interruption is kept, and looked at again. One process at a time works on a directory,
on a shared file system too. What standard output says, a JSON object a line, is how far it is; its last line is the
end: {"end": "complete" | "there" | "right"} or {"error": ..., "fix": ...} with exit status 1.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

MANIFEST = ".weights.json"
CHUNK = 4 * 2**20
PIECE = 2**20
TELL_EVERY_S = 1.0
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}


class Refused(Exception):
    """What cannot be brought: a sentence, and what to do."""

    def __init__(self, message, fix):
        super().__init__(message)
        self.fix = fix


def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def content_hash(path, kind, size):
    """Hash a file as its hub does: 'sha256' of its bytes, or 'git', the blob id."""
    found = hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % size)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def is_right(path, size, wanted):
    """Tell whether a file has the size and the content that its hub said."""
    kind, _, digest = wanted.partition(":")
    return path.is_file() and path.stat().st_size == size and content_hash(path, kind, size) == digest


class Progress(threading.Thread):
    """Says once a second how many bytes are there."""

    def __init__(self, folder, total):
        super().__init__(daemon=True)
        self.folder, self.total, self.over = folder, total, threading.Event()
        self.doing = ""

    def run(self):
        while not self.over.wait(TELL_EVERY_S):
            tell(bytes=min(size_of(self.folder), self.total), total=self.total, doing=self.doing)


def size_of(folder):
    """Bytes of the files below a folder; what is renamed meanwhile does not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def require_space(folder, total, reserve):
    missing = max(0, total - size_of(folder))
    free = shutil.disk_usage(folder).free
    if free < missing + reserve:
        raise Refused(
            f"{folder} has {free / 1e9:.1f} GB; {missing / 1e9:.1f} are to come and {reserve / 1e9:.1f} must stay free",
            "make room there, or give the host another fleet_home",
        )


def wait_s(error, attempt, longest_s):
    """Seconds until the next try: what the hub asks for, else twice as long each time."""
    asked = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else 2.0**attempt, longest_s)


def passes(error):
    """Tell whether it may go better the next time: the network, a hub that is busy, a file that came short."""
    import httpx

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return status in PASSING
    came_short = "onsistency check failed" in str(error)
    return came_short or isinstance(error, (httpx.TransportError, ConnectionError, TimeoutError))


def refusal(error, wanted):
    """Put into words what a hub will not give."""
    from huggingface_hub import errors

    where = f"{wanted['repository']} at {wanted['endpoint']}"
    if isinstance(error, errors.GatedRepoError):
        return Refused(f"{where} is gated", "accept its licence there, and set HF_TOKEN to a token that may read it")
    if isinstance(error, errors.RevisionNotFoundError):
        return Refused(f"{where} has no revision {wanted['revision']}", "pin it again: invoke models --pin")
    if isinstance(error, errors.RepositoryNotFoundError):
        return Refused(f"{where} is not there, or not for this token", "look at the name, and at HF_TOKEN")
    if isinstance(error, OSError) and error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return Refused(f"no space is left in {wanted['directory']}.partial", "make room there; what came is kept")
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return Refused(f"{where} does not give it: {said}", "the same command goes on where this one ended")


def download(path, size, name, wanted):
    """Let the hub's client add to a file what is missing; attempts that bring something are not counted.

    The client's own `hf_hub_download` begins each file anew.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    constants.DOWNLOAD_CHUNK_SIZE = PIECE  # what a lost connection costs
    url = hf_hub_url(wanted["repository"], name, revision=wanted["revision"], endpoint=wanted["endpoint"])
    headers = {**build_hf_headers(token=os.environ.get("HF_TOKEN") or False), "Accept-Encoding": "identity"}
    path.parent.mkdir(parents=True, exist_ok=True)
    attempt = 0
    while True:
        with path.open("ab") as file:
            before = file.tell() if file.tell() <= size else file.truncate(0)
            try:
                http_get(url, file, resume_size=before, headers=headers, expected_size=size, displayed_filename=name)
            except Exception as error:
                attempt = attempt + 1 if file.tell() <= before else 1
                if attempt == wanted["attempts"] or not passes(error):
                    raise refusal(error, wanted) from error
                pause = wait_s(error, attempt - 1, wanted["longest_wait_s"])
            else:
                return
        time.sleep(pause)


def bring(folder, wanted, progress):
    """Have every file there, right; one that came wrong is fetched once more."""
    for name, (size, expected) in wanted["files"].items():
        path = folder / name
        progress.doing = name
        if is_right(path, size, expected):
            continue
        for _ in range(2):
            if path.is_file() and path.stat().st_size >= size:
                path.unlink()
            download(path, size, name, wanted)
            if is_right(path, size, expected):
                break
        else:
            path.unlink()
            raise Refused(
                f"{name} came twice with another content than {wanted['endpoint']} says it has",
                "look whether a proxy or mirror changes it; if the repository has changed: invoke models --pin",
            )


def copy(folder, wanted, progress):
    """Let rsync add what is missing, from another host or the controller; what came wrong is copied once more."""
    progress.doing = there = f"from {wanted['endpoint']}"
    for _ in range(2):
        words = [*wanted["copy"], f"{folder}/"]
        try:
            done = subprocess.run(words, input="\n".join(wanted["files"]), capture_output=True, text=True)
        except FileNotFoundError as error:
            raise Refused(f"{error.filename} is missing on this host", "invoke provision brings it") from error
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[:300] or f"exit status {done.returncode}"
            raise Refused(f"its files do not come {there}: {said}", "see whether this host reaches it")
        wrong = wrong_files(folder, wanted, progress)
        if not wrong:
            return
        for name in wrong:
            (folder / name).unlink(missing_ok=True)
    raise Refused(f"{', '.join(wrong)} came twice with another content {there}", "there: invoke models --verify")


def manifest_of(folder):
    try:
        return json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError):
        return None


def wrong_files(folder, wanted, progress):
    """Name the files that are missing or not what the hub said, after reading every one."""
    found = []
    for name, (size, expected) in wanted["files"].items():
        progress.doing = name
        found += [] if is_right(folder / name, size, expected) else [name]
    return found


def verify(directory, wanted, progress):
    if manifest_of(directory) is None:
        raise Refused(f"{directory} is not there, or not complete", "bring it: the same command without --verify")
    wrong = wrong_files(directory, wanted, progress)
    if wrong:
        raise Refused(
            f"{', '.join(wrong)} in {directory} are missing or have another content than was pinned",
            f"stop the engine, remove {directory}, and bring it again: the same command without --verify",
        )


def take_over(directory, wanted, progress):
    """Write the manifest of a directory that somebody filled by hand; it is never removed."""
    wrong = wrong_files(directory, wanted, progress)
    if wrong:
        raise Refused(
            f"{directory} is there and is not complete: {', '.join(wrong[:3])} of {len(wrong)} files",
            f"call it {directory.name}.partial, and what is right in it is kept; or remove it",
        )
    write_manifest(directory, wanted)


def write_manifest(folder, wanted):
    whole = folder / (MANIFEST + ".partial")
    whole.write_text(json.dumps({name: wanted[name] for name in ("repository", "revision", "files")}))
    whole.rename(folder / MANIFEST)


def finish(partial, directory, wanted):
    write_manifest(partial, wanted)
    for path in (partial, *partial.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    partial.rename(directory)


def bring_whole(directory, partial, wanted, progress):
    """Return 'there' or 'complete'."""
    if manifest_of(directory) == wanted["files"]:
        return "there"
    if directory.exists():
        take_over(directory, wanted, progress)
        return "complete"
    if wanted["mode"] == "accept":
        where = f"its files, revision {wanted['revision']} of {wanted['repository']}"
        raise Refused(f"{directory} is not there, and fleet_fetch is false", f"put {where}, into that folder")
    partial.mkdir(exist_ok=True)
    require_space(partial, progress.total, wanted["reserve_bytes"])
    (copy if wanted["mode"] == "copy" else bring)(partial, wanted, progress)
    finish(partial, directory, wanted)
    return "complete"


def alone(lock):
    """Wait until no other process works on the directory."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        tell(doing="another download into the same folder")
        fcntl.flock(lock, fcntl.LOCK_EX)


def main(text):
    wanted = json.loads(text)
    directory = pathlib.Path(wanted["directory"])
    partial = directory.with_name(directory.name + ".partial")
    progress = Progress(partial, sum(size for size, _ in wanted["files"].values()))
    progress.start()
    try:
        if wanted["mode"] == "verify":
            verify(directory, wanted, progress)
            return "right"
        directory.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{partial}.lock", "w") as lock:
            alone(lock)
            return bring_whole(directory, partial, wanted, progress)
    finally:
        progress.over.set()
        progress.join()


if __name__ == "__main__":
    try:
        tell(end=main(sys.argv[1]))
    except Refused as refused:
        tell(error=str(refused), fix=refused.fix)
        sys.exit(1)
