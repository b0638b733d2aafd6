"""What runs on a host for `job`: programs that need nothing but its Python, fed by arguments and standard input."""

# Runs on the host. The keeper is the leader of a new session: it writes `rc` when the program ends, and a signal to the
# group reaches the program, not the keeper (its handlers do nothing, and a new program does not inherit handlers).
START = r"""
import json, os, pathlib, signal, subprocess, sys
job = json.load(sys.stdin)
folder = pathlib.Path(job["directory"])
secrets = {name: pathlib.Path(path).read_text().strip() for name, path in job["secret_environment"].items()}
secrets.update(job["secrets"])
os.umask(0o077)
folder.mkdir(parents=True, exist_ok=True)
for old in ("pid", "rc", "start"):
    (folder / old).unlink(missing_ok=True)
def written(name, text):
    partial = folder / ("." + name)
    partial.write_text(text)
    partial.replace(folder / name)
ready, tell = os.pipe()
if os.fork():
    os.close(tell)
    sys.stdout.write(os.read(ready, 64).decode())
    sys.exit()
os.setsid()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: None)
out, err = (open(folder / name, "wb") for name in ("stdout", "stderr"))
null = os.open(os.devnull, os.O_RDWR)
for number in (0, 1, 2):
    os.dup2(null, number)
started = pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
written("start", job["start"])
written("pid", "%d %s\n" % (os.getpid(), started))
os.write(tell, b"%d" % os.getpid())
os.close(tell)
try:
    rc = subprocess.call(job["argv"], cwd=folder, env={**os.environ, **job["environment"], **secrets},
                         stdin=null, stdout=out, stderr=err)
except OSError as error:
    err.write(("%s\n" % error).encode())
    rc = 127
err.close()
written("rc", "%d\n" % (rc if rc >= 0 else 128 - rc))
"""
FIND = r"""
import pathlib, sys, time
folder, start, until = pathlib.Path(sys.argv[1]), sys.argv[2], time.monotonic() + float(sys.argv[3])
while True:
    try:
        if (folder / "start").read_text() == start:
            print((folder / "pid").read_text().split()[0], end="")
            break
    except (OSError, IndexError):
        pass
    if time.monotonic() > until:
        break
    time.sleep(0.05)
"""
POLL = r"""
import json, pathlib, sys, time
folder, size, until = pathlib.Path(sys.argv[1]), int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
def text(name):
    try:
        return (folder / name).read_text()
    except OSError:
        return ""
def tail(name):
    try:
        with open(folder / name, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
pid, started = (text("pid").split() + ["0", "0"])[:2]
def living():
    try:
        stat = pathlib.Path("/proc/%s/stat" % pid).read_text().rsplit(")", 1)[1].split()
        return stat[19] == started and stat[0] != "Z"
    except OSError:
        return False
alive = living()
while alive and not text("rc") and time.monotonic() < until:
    time.sleep(0.02)
    alive = living()
rc = text("rc").strip()
print(json.dumps({"running": alive and not rc, "exit_status": int(rc) if rc else None,
                  "stdout_tail": tail("stdout"), "stderr_tail": tail("stderr")}))
"""
KILL = r"""
import os, pathlib, signal, sys, time
grace_s, folders = float(sys.argv[1]), [pathlib.Path(path) for path in sys.argv[2:]]
def members(folder, pid, started):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text().rsplit(")", 1)[1].split()
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        ours = stat[2] == pid and (path.name != pid or stat[19] == started)
        # In a container the program is in no group of ours; that it names a file of the job tells it.
        inside = any(word.startswith(str(folder) + "/") for word in words)
        if stat[0] != "Z" and (ours or inside):
            found.append(int(path.name))
    return found
def end(folder):
    job = (folder, *(folder / "pid").read_text().split())
    def send(number):
        for member in members(*job):
            try:
                os.kill(member, number)
            except ProcessLookupError:
                pass
    send(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while members(*job) and time.monotonic() < deadline:
        time.sleep(0.02)
    send(signal.SIGKILL)
    if not (folder / "rc").exists():
        (folder / ".rc").write_text("137\n")
        (folder / ".rc").replace(folder / "rc")
for folder in folders:
    end(folder)
"""
