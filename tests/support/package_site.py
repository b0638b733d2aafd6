"""A signed package repository by HTTP, of Debian's own packages and of stand-ins, for hosts that the tests made."""

import hashlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from devstral_fleet.lab import image
from devstral_fleet.lab.host import SshHost
from tests.support.host_container import CACHE, HostContainer, as_root

NOT_A_STRANGERS = ("Breaks:", "Conflicts:", "Replaces:", "Provides:", "Recommends:", "Suggests:", "Enhances:")
KEYRING = "/etc/apt/keyrings/site.asc"


@dataclass(frozen=True)
class Signer:
    """A key of the test's own."""

    home: Path

    @classmethod
    def make(cls, home: Path) -> "Signer":
        home.mkdir(mode=0o700)
        here = cls(home)
        here._gpg("--passphrase", "", "--quick-generate-key", "Test repository", "ed25519", "sign", "never")
        return here

    @property
    def public(self) -> bytes:
        return self._gpg("--armor", "--export")

    def sign(self, file: Path) -> None:
        """Write InRelease beside a Release file."""
        self._gpg("--yes", "--output", str(file.with_name("InRelease")), "--clearsign", str(file))

    def end(self) -> None:
        """End the agent that gpg has started."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"], check=True)

    def _gpg(self, *words: str) -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *words]
        return subprocess.run(argv, check=True, capture_output=True).stdout


def installed(host: SshHost, name: str) -> str:
    """dpkg's state of a package on a host; '' for one that it does not know."""
    show = f"dpkg-query --show --showformat='${{db:Status-Status}}' {name} 2>/dev/null || true"
    return as_root(host, "sh", "-c", show)


def stand_in(
    folder: Path,
    name: str,
    version: str,
    depends: str = "",
    postinst: str = "",
    files: Mapping[str, str] | None = None,
) -> Path:
    """Make a package of these files (those in /usr/bin are programs); `postinst` are lines of sh that configure it."""
    tree = folder / name
    for path, text in (files or {}).items():
        file = tree / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if path.startswith("/usr/bin/") else 0o644)
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "Test <test@example.org>"}
    fields |= {"Description": "stand-in of a test", **({"Depends": depends} if depends else {})}
    (tree / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    if postinst:
        script = tree / "DEBIAN" / "postinst"
        script.write_text(f"#!/bin/sh\nset -e\n{postinst}\n")
        script.chmod(0o755)
    return _built(folder, name, tree)


def renamed(folder: Path, package: Path, name: str, names: Mapping[str, str]) -> Path:
    """Make a package of the same files and scripts under another name; what it depends on is renamed by `names`."""
    tree = folder / name
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    kept = [line for line in control.read_text().splitlines() if not line.startswith(NOT_A_STRANGERS)]
    text = re.sub(r"(?m)^Package: .*$", f"Package: {name}", "\n".join(kept) + "\n")
    for old, new in names.items():
        text = re.sub(rf"(?m)(^(?:Pre-)?Depends:.*?\s){re.escape(old)}(?: \([^)]*\))?(?=,|$)", rf"\g<1>{new}", text)
    control.write_text(text)
    return _built(folder, name, tree)


def _built(folder: Path, name: str, tree: Path) -> Path:
    package = folder / f"{name}.deb"
    argv = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)]
    subprocess.run(argv, check=True, capture_output=True)
    return package


def publish(root: Path, suite: str, packages: Sequence[Path], signer: Signer, component: str = "main") -> None:
    """Write a repository of one suite: its pool, its index and its signed release."""
    index = root / "dists" / suite / component / "binary-amd64"
    text, release = _index(root, index, packages), index.parents[1] / "Release"
    digest = hashlib.sha256(text.encode()).hexdigest()
    listed = f" {digest} {len(text.encode())} {component}/binary-amd64/Packages\n"
    release.write_text(
        f"Suite: {suite}\nCodename: {suite}\nComponents: {component}\nArchitectures: amd64\nSHA256:\n{listed}"
    )
    signer.sign(release)


def publish_flat(root: Path, packages: Sequence[Path], signer: Signer) -> None:
    """Write a repository without suites, as NVIDIA's are."""
    text = _index(root, root, packages)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (root / "Release").write_text(f"SHA256:\n {digest} {len(text.encode())} Packages\n")
    signer.sign(root / "Release")


def _index(root: Path, index: Path, packages: Sequence[Path]) -> str:
    """Fill the pool and write the index of its packages; return that."""
    pool, entries = root / "pool", []
    for folder in (pool, index):
        folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        copy = pool / package.name.replace("%3a", ".")
        shutil.copyfile(package, copy)
        control = subprocess.run(
            ["dpkg-deb", "--field", str(package)], check=True, capture_output=True, text=True
        ).stdout
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        place = f"Filename: pool/{copy.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
        entries.append(f"{control.rstrip()}\n{place}")
    text = "\n".join(entries)
    (index / "Packages").write_text(text)
    return text


@contextmanager
def served(root: Path, address: str) -> Iterator[str]:
    """Serve a folder on an address of this machine until the context ends; give its URL."""
    server = ThreadingHTTPServer((address, 0), partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, _format: str, *_arguments: object) -> None:
        """Say nothing."""


def wanted(status: Path, names: Sequence[str], suite: str, kept: Path) -> list[Path]:
    """Fetch what a machine of that suite and dpkg status would install for `names`, by this machine's own apt."""
    lists, sources = kept / "lists", kept / "sources.list"
    for folder in (kept / "partial", lists / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    assert image.mirror(), "this machine's apt knows no Debian mirror"
    sources.write_text(f"deb {image.mirror()} {suite} main\n")
    options = {
        "Dir::State::status": status,
        "Dir::State::lists": lists,
        "Dir::Cache::archives": f"{kept}/",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Debug::NoLocking": "true",
    }
    words = [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    for verb in (["update"], ["--yes", "--no-install-recommends", "--download-only", "install", *names]):
        done = subprocess.run(["apt-get", "--quiet", *words, *verb], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return sorted(kept.glob("*.deb"))


@dataclass
class Repository:
    """Debian's own packages for one host, which asks nothing else; one key or another signs their release."""

    root: Path
    suite: str
    packages: list[Path]
    signer: Signer
    stranger: Signer
    url: str = ""

    def sign(self, signer: Signer) -> None:
        publish(self.root / self.suite, self.suite, self.packages, signer)

    def given_to(self, host: HostContainer) -> None:
        """Make it the one that the host's apt asks."""
        line = f"deb [signed-by={KEYRING}] {self.url}/{self.suite} {self.suite} main\n"
        host.put({KEYRING: self.signer.public, "/etc/apt/sources.list": line.encode()}, 0o644)


@contextmanager
def repository_of(host: HostContainer, suite: str, names: Sequence[str], folder: Path) -> Iterator[Repository]:
    """Serve what the host needs for `names` on its own network, until the context ends."""
    status = folder / "status"
    status.write_text(host.root("cat", "/var/lib/dpkg/status") + "\n")
    packages = wanted(status, ["python3-apt", *names], suite, CACHE / "packages" / suite)
    signers = Signer.make(folder / "own"), Signer.make(folder / "stranger")
    here = Repository(CACHE / "repository", suite, packages, *signers)
    here.sign(here.signer)
    host.container.reload()
    gateway = host.container.attrs["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    try:
        with served(here.root, gateway) as here.url:
            here.given_to(host)
            yield here
    finally:
        for signer in signers:
            signer.end()
