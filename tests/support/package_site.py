"""A signed package repository by HTTP, of Debian's own packages and of stand-ins, for hosts that the tests made."""

import hashlib
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


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


def stand_in(folder: Path, name: str, version: str, depends: str = "") -> Path:
    """Make a package that holds nothing."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "Test <test@example.org>"}
    fields |= {"Description": "stand-in of a test", **({"Depends": depends} if depends else {})}
    (tree / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    package = folder / f"{name}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)], check=True, capture_output=True
    )
    return package


def publish(root: Path, suite: str, packages: Sequence[Path], signer: Signer, component: str = "main") -> None:
    """Write a repository of one suite: its pool, its index and its signed release."""
    pool, index = root / "pool", root / "dists" / suite / component / "binary-amd64"
    for folder in (pool, index):
        folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for package in packages:
        copy = pool / package.name.replace("%3a", ".")
        if not copy.exists():
            copy.hardlink_to(package)
        control = subprocess.run(
            ["dpkg-deb", "--field", str(package)], check=True, capture_output=True, text=True
        ).stdout
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        place = f"Filename: pool/{copy.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
        entries.append(f"{control.rstrip()}\n{place}")
    text = "\n".join(entries)
    (index / "Packages").write_text(text)
    release = index.parents[1] / "Release"
    digest = hashlib.sha256(text.encode()).hexdigest()
    listed = f" {digest} {len(text.encode())} {component}/binary-amd64/Packages\n"
    release.write_text(
        f"Suite: {suite}\nCodename: {suite}\nComponents: {component}\nArchitectures: amd64\nSHA256:\n{listed}"
    )
    signer.sign(release)


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


def wanted(status: Path, names: Sequence[str], kept: Path) -> list[Path]:
    """Fetch the packages that a machine with that dpkg status would need for `names`, by this machine's own apt."""
    (kept / "partial").mkdir(parents=True, exist_ok=True)
    options = {"Dir::State::status": status, "Dir::Cache::archives": f"{kept}/", "Debug::NoLocking": "true"}
    words = [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    argv = ["apt-get", "--yes", "--quiet", "--no-install-recommends", "--download-only", *words, "install", *names]
    if subprocess.run(argv, capture_output=True).returncode != 0:  # lists that are missing or old
        subprocess.run(["apt-get", "--quiet", "update"], check=True, capture_output=True)
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return sorted(kept.glob("*.deb"))
