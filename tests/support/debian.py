"""What this machine's apt knows."""

import re
import subprocess


def mirror() -> str:
    """Return the Debian mirror that this machine's apt uses."""
    argv = ["apt-get", "indextargets", "Created-By: Packages", "--format", "$(ORIGIN) $(SITE)"]
    sites = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    return next(site.removeprefix("Debian ") for site in sites if re.fullmatch(r"Debian .*/debian/?", site))
