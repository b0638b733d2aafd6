"""The engine's service on a host, whoever keeps it: compare it with what should run, restart it, stop it.

    python3 engine_service.py compare|restart|stop [--check] SERVICE_JSON

`compare` prints one line for each difference and changes nothing; `restart` makes the planned release run; `stop` ends
it for good. Each line of `stop` is a change. Standard library only: supervisord is asked over its own socket.

SERVICE_JSON: manager ('systemd' or 'supervisor'), home, release (id), unit, supervisord (program), configuration,
socket, drain_s (seconds a stopping engine may take to finish its requests).
"""

import argparse
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import types
import xmlrpc.client

PROGRAM = "engine"
ALIVE = {"RUNNING", "STARTING", "active", "activating"}
INHERITED = {"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "USER"}
"""What supervisord and the engine get of the caller's environment; a token in it is none of their business."""
START_S = 15
INTERVAL_S = 0.1
ASK_S = 5
UNAUTHORIZED = 401


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.unix_path = path

    def connect(self):
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.unix_path)


class UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket."""

    def __init__(self, path):
        super().__init__()
        self.unix_path = path

    def make_connection(self, host):  # noqa: ARG002 - the base class names it; a socket has no host
        """Return a fresh connection."""
        return UnixConnection(self.unix_path)


def wait_until(done, deadline_s, what):
    """Wait until done() is true; end with the last word when the deadline passes."""
    deadline = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"after {deadline_s} s {what}")
        time.sleep(INTERVAL_S)


def processes():
    """Yield (pid, words of the command line) of every process that can be read."""
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            yield int(path.name), (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue


def is_alive(pid):
    """Tell whether the process runs; a zombie that nobody collected does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Supervisor:
    """supervisord in its own environment under home, where process 1 is not systemd."""

    def __init__(self, service):
        self.service = service
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=UnixTransport(service.socket))
        self.rpc = proxy.supervisor

    def answers(self):
        """Tell whether supervisord runs and takes orders."""
        try:
            return self.rpc.getState()["statename"] == "RUNNING"
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def state(self):
        """Return (state in the manager's words, pid or 0)."""
        if not self.answers():
            return "without a supervisor", 0
        try:
            info = self.rpc.getProcessInfo(PROGRAM)
        except xmlrpc.client.Fault:
            return "unknown to its supervisor", 0
        return info["statename"], info["pid"]

    def differences(self):
        """Yield that supervisord runs with another configuration than the one on disk."""
        if self.answers() and any(self.rpc.reloadConfig()[0]):
            yield "the supervisor's configuration has changed"

    def end_leftovers(self):
        """End engines of this home that outlived their supervisor; they would hold port and memory."""
        environments = f"{self.service.home}/environments/"
        left = [pid for pid, words in processes() if words[0].startswith(environments) and is_engine(words)]
        for pid in left:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.service.drain_s
        while any(map(is_alive, left)) and time.monotonic() < deadline:
            time.sleep(INTERVAL_S)
        for pid in filter(is_alive, left):
            os.kill(pid, signal.SIGKILL)
        return left

    def take_configuration(self):
        """Let a running supervisord use the configuration as it is on disk now; True when that started the engine."""
        added, changed, removed = self.rpc.reloadConfig()[0]
        for name in (*changed, *removed):
            self.rpc.stopProcessGroup(name)
            self.rpc.removeProcessGroup(name)
        for name in (*changed, *added):
            self.rpc.addProcessGroup(name)
        return PROGRAM in (*changed, *added)

    def start_engine(self):
        """Ask for a start and do not wait for it; True when the request was taken."""
        try:
            return self.rpc.startProcess(PROGRAM, False)
        except xmlrpc.client.Fault as fault:
            return fault.faultString.startswith("SPAWN_ERROR")

    def stop_engine(self):
        """Stop the engine and wait until its process is gone."""
        try:
            self.rpc.stopProcess(PROGRAM)
        except xmlrpc.client.Fault:
            return  # NOT_RUNNING: that is what was asked for

    def restart(self):
        """Run the release that `serving` names, under a running supervisord with today's configuration."""
        if not self.answers():
            self.end_leftovers()
            environment = {name: value for name, value in os.environ.items() if name in INHERITED}
            subprocess.run([self.service.supervisord, "-c", self.service.configuration], check=True, env=environment)
            wait_until(self.answers, START_S, "supervisord does not answer")
            return
        if self.take_configuration():
            return
        self.stop_engine()
        # A guard that acts at this moment may have started it in between: stop again, the link is ours now.
        wait_until(lambda: self.start_engine() or self.stop_engine(), START_S, "supervisord does not start the engine")

    def stop(self, check):
        """Yield what had to be ended: engine and supervisord, or an engine without one."""
        if not self.answers():
            if not check:
                yield from (f"ended process {pid}" for pid in self.end_leftovers())
            return
        yield "stopped the engine and its supervisor"
        if not check:
            pid = self.rpc.getPID()
            self.stop_engine()
            self.rpc.shutdown()
            wait_until(lambda: not is_alive(pid), self.service.drain_s + START_S, "supervisord still runs")


class Systemd:
    """A unit of systemd."""

    def __init__(self, service):
        self.service = service

    def state(self):
        """Return (state in the manager's words, pid or 0)."""
        show = ["systemctl", "show", self.service.unit, "--property=ActiveState", "--property=MainPID"]
        text = subprocess.run(show, check=True, capture_output=True, text=True).stdout
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return values.get("ActiveState", "unknown"), int(values.get("MainPID", 0))

    def differences(self):
        """Yield nothing: a changed unit is daemon-reload's and the handler's business."""
        return ()

    def restart(self):
        """Run the release that `serving` names. A failed unit's counter is reset, or systemd refuses the start."""
        subprocess.run(["systemctl", "reset-failed", self.service.unit], check=False, capture_output=True)
        subprocess.run(["systemctl", "restart", self.service.unit], check=True)

    def stop(self, check):
        """Yield the stop of the unit, which also no longer starts at boot."""
        enabled = subprocess.run(["systemctl", "is-enabled", "--quiet", self.service.unit], check=False)
        if enabled.returncode == 0 or self.state()[0] in ALIVE:
            yield f"stopped and disabled {self.service.unit}"
            if not check:
                subprocess.run(["systemctl", "disable", "--now", self.service.unit], check=True)


def is_engine(words):
    """Tell whether a command line is that of an engine."""
    return "sglang.launch_server" in words


def release_of(pid):
    """Return the release whose directory the process works in, '' when that cannot be read."""
    try:
        return pathlib.Path(os.readlink(f"/proc/{pid}/cwd")).name
    except OSError:
        return ""


def require_release(service):
    """End when the release to serve is not on the host, as a rollback to a removed one would find."""
    start = pathlib.Path(service.home, "releases", service.release, "start")
    if not start.is_file():
        sys.exit(f"release {service.release} is not on this host: {start} does not exist")


def refuses_its_key(service):
    """Tell whether the engine was started with another API key than the one on disk: a key that was made anew."""
    home = pathlib.Path(service.home)
    try:
        plan = json.loads((home / "releases" / service.release / "release.json").read_text())["plan"]
        name, _, value = (home / "secrets" / "auth.header").read_text().strip().partition(": ")
        engine = http.client.HTTPConnection(plan["listen"], plan["port"], timeout=ASK_S)
        engine.request("GET", "/v1/models", headers={name: value})
        return engine.getresponse().status == UNAUTHORIZED
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return False  # not there yet, or of another shape: what waits for its health says so


def differences(manager, service):
    """Yield one sentence for each difference between what serves and what should."""
    serving = pathlib.Path(service.home, "serving")
    linked = os.path.basename(os.readlink(serving)) if serving.is_symlink() else "nothing"
    if linked != service.release:
        yield f"serving is {linked}, not {service.release}"
    state, pid = manager.state()
    if state not in ALIVE:
        yield f"the engine is {state}"
    elif pid and linked == service.release and release_of(pid) != service.release:
        yield f"process {pid} does not run {service.release}"
    elif pid and refuses_its_key(service):
        yield f"process {pid} was started with another API key"
    yield from manager.differences()


def main():
    """Parse the command line, act, and print what differs or was changed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("compare", "restart", "stop"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("service", type=lambda text: types.SimpleNamespace(**json.loads(text)))
    options = parser.parse_args()
    manager = Systemd(options.service) if options.service.manager == "systemd" else Supervisor(options.service)
    if options.action == "compare":
        if not options.check:
            require_release(options.service)
        lines = differences(manager, options.service)
    else:
        lines = manager.restart() or () if options.action == "restart" else manager.stop(options.check)
    for line in lines:
        print(line)


if __name__ == "__main__":
    main()
