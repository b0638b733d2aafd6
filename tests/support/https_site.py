"""A site behind its own certificate authority: a package index by HTTPS that only the site's proxy leads to."""

import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "index.site.test"
"""A name that nothing but the proxy knows."""
IDLE_S = 20.0


@dataclass
class HttpsSite:
    """Addresses of the index and of the proxy, the authority's certificate, and what each was asked."""

    authority: Path
    index: str = f"https://{HOST}/wheels/"
    proxy: str = ""
    asked_of_proxy: list[str] = field(default_factory=list)
    asked_of_index: list[str] = field(default_factory=list)


@contextmanager
def https_site(folder: Path, wheels: Path) -> Iterator[HttpsSite]:
    """Serve the wheels of a folder, each package as an index has it, until the context ends."""
    here = HttpsSite(_certificates(folder))
    _lay_out(folder / "index" / "wheels", wheels)
    index = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, directory=str(folder / "index"), asked=here))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "index.pem")
    index.socket = context.wrap_socket(index.socket, server_side=True)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Proxy, leads_to=index.server_address[1], asked=here))
    here.proxy = f"http://127.0.0.1:{proxy.server_address[1]}"
    for server in (index, proxy):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield here
    finally:
        for server in (proxy, index):
            server.shutdown()
            server.server_close()


class _Index(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, asked: HttpsSite, **options: object) -> None:
        self.asked = asked
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def log_message(self, _format: str, *arguments: object) -> None:
        self.asked.asked_of_index.append(str(arguments[0]))


class _Proxy(BaseHTTPRequestHandler):
    def __init__(self, *arguments: object, leads_to: int, asked: HttpsSite) -> None:
        self.leads_to, self.asked = leads_to, asked
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_CONNECT(self) -> None:
        """Lead every connection to the index."""
        self.asked.asked_of_proxy.append(self.path)
        with socket.create_connection(("127.0.0.1", self.leads_to)) as there:
            self.send_response(200)
            self.end_headers()
            _carry(self.connection, there)

    def do_GET(self) -> None:
        """Refuse what is not by HTTPS; the asked address is remembered."""
        self.asked.asked_of_proxy.append(self.path)
        self.send_error(403)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until a side ends, or nothing comes for a while."""
    while ready := select.select([one, other], [], [], IDLE_S)[0]:
        for side in ready:
            data = side.recv(65536)
            if not data:
                return
            (other if side is one else one).sendall(data)


def _lay_out(index: Path, wheels: Path) -> None:
    for wheel in wheels.glob("*.whl"):
        page = index / wheel.name.partition("-")[0] / "index.html"
        page.parent.mkdir(parents=True)
        (page.parent / wheel.name).write_bytes(wheel.read_bytes())
        page.write_text(f'<a href="{wheel.name}">{wheel.name}</a>')


def _certificates(folder: Path) -> Path:
    """Make an authority and the index's certificate, by openssl; return the authority's."""
    authority, key, request = folder / "authority.pem", folder / "authority.key", folder / "index.csr"
    new = ("openssl", "req", "-newkey", "rsa:2048", "-nodes")
    _run(*new, "-x509", "-days", "2", "-subj", "/CN=Site authority", "-keyout", str(key), "-out", str(authority))
    _run(*new, "-subj", f"/CN={HOST}", "-keyout", str(folder / "index.key"), "-out", str(request))
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{HOST}\n")
    signed = ("-CA", str(authority), "-CAkey", str(key), "-CAcreateserial", "-days", "2", "-extfile", str(extensions))
    _run("openssl", "x509", "-req", "-in", str(request), *signed, "-out", str(folder / "index.crt"))
    (folder / "index.pem").write_bytes((folder / "index.crt").read_bytes() + (folder / "index.key").read_bytes())
    return authority


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)
