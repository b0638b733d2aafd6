"""The proof of the README on a clean machine: a fresh Debian root with nothing but the five packages.

`python -m tests.soak.fresh_root bookworm` makes the root once (.cache/roots), then runs `in-bookworm.sh` in a fresh
copy of it, in a network namespace of its own: its ports are not this machine's. Needs root, the packages mmdebstrap,
iproute2 and slirp4netns, and Debian's archive keys. What this machine's pip, apt and TLS are configured with
is read from them at run time and given to the root; none of it is written in the project.
"""

import os
import re
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

from devstral_fleet.lab.image import mirror

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "roots"
PACKAGES = ("git", "make", "python3", "python3-venv", "ca-certificates")
SUITES = ("bookworm", "trixie")
PipConfiguration = dict[str, str]


def output(*argv: str) -> str:
    """Return what a command prints; raise CalledProcessError where it fails."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def base(suite: str) -> Path:
    """Return the cached root of a suite, made on the first call."""
    path = CACHE / suite
    if not (path / "usr").is_dir():
        partial = CACHE / f"{suite}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        packages = ",".join(PACKAGES)
        output("mmdebstrap", "--variant=minbase", f"--include={packages}", suite, str(partial), mirror())
        partial.rename(path)
    return path


def pip_configuration() -> PipConfiguration:
    """Return what pip is configured with here, files and environment together: 'find-links' -> its value."""
    lines = output(sys.executable, "-m", "pip", "config", "list").splitlines()
    pairs = (re.fullmatch(r"(?:global|install|:env:)\.([\w-]+)='(.*)'", line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}


def folders(configuration: PipConfiguration) -> list[Path]:
    """Return this machine's folders that pip's configuration sends it to.

    An index `file:///x/simple` may link to files beside it, so its parent counts.
    """
    found: set[Path] = set()
    for key in ("find-links", "index-url", "extra-index-url"):
        for word in configuration.get(key, "").split():
            path = Path(unquote(urlparse(word).path)) if word.startswith("file://") else Path(word)
            if path.is_absolute() and path.is_dir():
                found.add(path.parent if path.name == "simple" else path)
    return sorted(found)


def write_configuration(etc: Path, configuration: PipConfiguration) -> None:
    """Write pip.conf, the files it names and the CA bundle as the fresh root's /etc will have them."""
    certificates = Path(configuration.get("cert") or ssl.get_default_verify_paths().cafile or "")
    bundle = Path("ssl/certs/ca-certificates.crt")
    (etc / bundle).parent.mkdir(parents=True)
    shutil.copyfile(certificates, etc / bundle)
    constraints = [Path(word) for word in configuration.get("constraint", "").split()]
    brought = {"constraint": " ".join(f"/etc/{path.name}" for path in constraints)} if constraints else {}
    for path in constraints:
        shutil.copyfile(path, etc / path.name)
    parser = ConfigParser(interpolation=None)
    parser["global"] = {**configuration, **brought, "cert": f"/etc/{bundle}"}
    with (etc / "pip.conf").open("w") as file:
        parser.write(file)


def write_sources(srv: Path) -> None:
    """Write the commit to prove as a bundle, and the scripts."""
    srv.mkdir()
    git = ("git", "-c", f"safe.directory={ROOT}")
    branch = output(*git, "branch", "--show-current").split()
    output(*git, "bundle", "create", "--quiet", str(srv / "fleet.bundle"), "HEAD", *branch)
    for script in HERE.glob("in-*.sh"):
        shutil.copy(script, srv)


@contextmanager
def network() -> Iterator[str]:
    """Make a network namespace whose way out is this machine's, give its name, and take it away again."""
    name = f"fleet-{secrets.token_hex(3)}"
    output("ip", "netns", "add", name)
    reader, writer = os.pipe()
    argv = ["slirp4netns", "--configure", "--netns-type=path", f"--ready-fd={writer}", f"/run/netns/{name}", "tap0"]
    way_out = subprocess.Popen(argv, pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        if not os.read(reader, 1):
            raise RuntimeError("slirp4netns ended before the network was ready")
        yield name
    finally:
        os.close(reader)
        way_out.terminate()
        way_out.wait()
        output("ip", "netns", "del", name)


def prove(suite: str) -> int:
    """Run a suite's script in a fresh root and return its exit status; its words go to this process's output."""
    root = base(suite)
    work = Path(tempfile.mkdtemp(prefix=f"{suite}-", dir=CACHE))
    configuration = pip_configuration()
    try:
        write_configuration(work / "etc", configuration)
        write_sources(work / "srv")
        enter = ["bash", str(HERE / "enter-root.sh"), str(root), str(work), f"in-{suite}.sh"]
        with network() as name:
            # Not `ip netns exec`: it hides /sys/fs/cgroup, which a Docker engine needs.
            network_of = ["nsenter", f"--net=/run/netns/{name}"]
            namespaces = [*network_of, "unshare", "--mount", "--pid", "--fork", "--kill-child"]
            argv = [*namespaces, *enter, *map(str, folders(configuration))]
            return subprocess.run(argv, stdin=subprocess.DEVNULL).returncode
    finally:
        shutil.rmtree(work)


def main(words: list[str]) -> int:
    """Prove the suites named on the command line, all of them by default."""
    if os.geteuid() != 0:
        print("fresh_root: needs root, for mounts and chroot", file=sys.stderr)
        return 2
    suites = words or list(SUITES)
    for suite in suites:
        print(f"fresh_root: {suite}", flush=True)
        if status := prove(suite):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
