"""Give a host back to its proven release when the controller dies in the middle of a deploy.

    python3 guard.py --home HOME --release ID --return-to ID --run RUN --restart JSON --stop JSON

Started detached before a switch. It watches HOME/lock/heartbeat, which a living controller touches every other second.
When that stops for --stale-s seconds while the new release serves and is not yet `current`, it points `serving` back
to --return-to and runs --restart; with nothing to return to it runs --stop. It ends quietly when the release was
proven, was replaced, or when the lock is gone or another run's. Standard library only, Python 3.8 or newer.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

TRIES = 3


def target(link):
    """Return the name of the release that `link` points to, '' for no link."""
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return ""


def owner_run(home):
    """Return the run that holds the lock: '' while its owner file is not written yet, None for no lock."""
    if not (home / "lock").is_dir():
        return None
    try:
        return json.loads((home / "lock" / "owner.json").read_text())["run"]
    except (OSError, ValueError, KeyError):
        return ""


def reason_to_end(home, release, run, switched):
    """Return why there is nothing left to guard, '' while there is. `switched`: the release was seen serving."""
    owner = owner_run(home)
    if owner is None:
        return "the lock is gone"
    if owner not in ("", run):
        return f"run {owner} took over"
    if target(home / "current") == release:
        return "the release is proven"
    if switched and target(home / "serving") != release:
        return "another release serves"
    return ""


class Heartbeat:
    """Tells how long the controller has been silent, by a clock that no one can set back."""

    def __init__(self, path, clock):
        self.path, self.clock = path, clock
        self.seen, self.since = self.stamp(), clock()

    def stamp(self):
        """Return the time of the last touch, None for no file."""
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return None

    def silent_s(self):
        """Return the seconds since the file was last seen to change."""
        stamp = self.stamp()
        if stamp != self.seen:
            self.seen, self.since = stamp, self.clock()
        return self.clock() - self.since


def watch(options, clock=time.monotonic, sleep=time.sleep):
    """Return (why it ended, whether the release must be returned). A silence before the switch is no reason to act,
    since the last task of a dead controller may still switch: it is given --switch-s more seconds to do so."""
    heartbeat, switched = Heartbeat(options.home / "lock" / "heartbeat", clock), False
    while True:
        switched = switched or target(options.home / "serving") == options.release
        reason = reason_to_end(options.home, options.release, options.run, switched)
        if reason:
            return reason, False
        silent_s = heartbeat.silent_s()
        if switched and silent_s > options.stale_s:
            return f"the controller was silent for {silent_s:.0f} s", True
        if silent_s > options.stale_s + options.switch_s:
            return "the controller was silent before the switch", False
        sleep(options.interval_s)


def point_serving(home, release):
    """Point `serving` to the release, by one rename."""
    partial = home / f".serving.{os.getpid()}"
    if partial.is_symlink():
        partial.unlink()
    partial.symlink_to(os.path.join("releases", release))
    os.replace(str(partial), str(home / "serving"))


def give_back(options, sleep=time.sleep):
    """Let the proven release serve again, or nothing when there is none; return True when the service obeyed."""
    if options.return_to:
        point_serving(options.home, options.return_to)
    command = options.restart if options.return_to else options.stop
    for _ in range(TRIES):
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return True
        sleep(options.interval_s)
    return False


def utc_now():
    """Return the time as ISO 8601, seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def audit(options, reason, obeyed):
    """Append one line that says what the guard changed."""
    said = reason if obeyed else reason + "; the service did not obey"
    entry = {
        "time": utc_now(),
        "event": "guard",
        "run": options.run,
        "who": "guard",
        "release": options.return_to,
        "previous": options.release,
        "reason": said,
    }
    descriptor = os.open(str(options.home / "audit.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(entry) + "\n")


def detach(log):
    """Leave the caller's session, so that neither its end nor its signals reach the guard; write to `log`."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, descriptor)


def parse(words):
    """Return the options; commands are JSON lists of words."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=pathlib.Path, required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--return-to", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--restart", type=json.loads, required=True)
    parser.add_argument("--stop", type=json.loads, required=True)
    parser.add_argument("--stale-s", type=float, required=True)
    parser.add_argument("--switch-s", type=float, default=60.0)
    parser.add_argument("--interval-s", type=float, default=1.0)
    return parser.parse_args(words)


def main():
    """Detach, watch, and act once if need be."""
    options = parse(sys.argv[1:])
    detach(options.home / "log" / "guard.log")
    print(f"{utc_now()} guarding {options.release} for run {options.run}", flush=True)
    reason, must_return = watch(options)
    if must_return:
        audit(options, reason, give_back(options))
    print(f"{utc_now()} {'gave back' if must_return else 'ended'}: {reason}", flush=True)


if __name__ == "__main__":
    main()
