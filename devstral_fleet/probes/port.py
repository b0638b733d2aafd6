"""Who listens on a port. Read from /proc, so nothing needs to be installed but python3."""

from devstral_fleet.facts import PortFacts
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

SCRIPT = r"""
import glob, json, os, sys
port = int(sys.argv[1])
inodes = set()
for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    try:
        rows = open(table).read().splitlines()[1:]
    except OSError:
        continue
    for row in rows:
        words = row.split()
        if words[3] == "0A" and int(words[1].rsplit(":", 1)[1], 16) == port:
            inodes.add("socket:[" + words[9] + "]")
found = {"port": port, "listening": bool(inodes), "pid": 0, "command": ""}
for link in glob.iglob("/proc/[0-9]*/fd/*") if inodes else ():
    try:
        if os.readlink(link) in inodes:
            found["pid"] = int(link.split("/")[2])
            found["command"] = open("/proc/%d/comm" % found["pid"]).read().strip()
            break
    except OSError:
        continue
print(json.dumps(found))
"""


def command(port: int) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["python3", "-I", "-", str(port)]


def read(shell: Shell, port: int) -> PortFacts:
    """Look who listens on `port`, on whatever address.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "port", command(port), stdin=SCRIPT))


def parse(text: str) -> PortFacts:
    """Read the script's JSON."""
    try:
        return PortFacts.model_validate(output.document(text, "port"))
    except ValueError as error:
        raise output.unreadable("port", "other keys than expected", text) from error
