"""The smallest image that serves a page, of Debian's package busybox-static: no registry is asked."""

import shutil
import tarfile
from pathlib import Path

SERVE = "#!/bin/sh\nexec /bin/busybox httpd -f -p 80 -h /srv\n"


def tiny_image(folder: Path) -> Path:
    """Write a root's tar, to be imported: `serve` answers on port 80; /word is 'served'."""
    program = shutil.which("busybox")
    assert program, "busybox is missing: run tests/setup-machine.sh (Debian package busybox-static)"
    root = folder / "root"
    for name, text in {"bin/serve": SERVE, "srv/word": "served"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "bin/serve").chmod(0o755)
    shutil.copy(program, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    with tarfile.open(folder / "root.tar", "w") as packed:
        packed.add(root, arcname=".")
    return folder / "root.tar"
