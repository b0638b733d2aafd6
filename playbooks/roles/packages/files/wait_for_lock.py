"""Wait until no other program has dpkg's lock; where the time is up, end with who has it.

    python3 wait_for_lock.py SECONDS

Standard library only. The lock is given back at once: whoever installs next takes it itself.
"""

import fcntl
import os
import sys
import time

LOCK = "/var/lib/dpkg/lock-frontend"
INTERVAL_S = 0.5


def free():
    """Tell whether the lock can be had now."""
    with open(LOCK, "a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def holder():
    """Return who has it, as far as the kernel says."""
    inode = str(os.stat(LOCK).st_ino)
    with open("/proc/locks") as file:
        for fields in map(str.split, file):
            if fields[5].rpartition(":")[2] == inode:
                try:
                    with open(f"/proc/{fields[4]}/comm") as name:
                        return f"{name.read().strip()} (pid {fields[4]})"
                except OSError:
                    return f"pid {fields[4]}"
    return "another program"


def main():
    """Wait."""
    wait_s = int(sys.argv[1])
    deadline = time.monotonic() + wait_s
    while not free():
        if time.monotonic() > deadline:
            sys.exit(f"ERROR: {holder()} has installed packages for longer than {wait_s} s")
        time.sleep(INTERVAL_S)


if __name__ == "__main__":
    main()
