"""Let an environment see the packages of the interpreter that runs this: its torch, above all.

    python see_host_packages.py SITE_PACKAGES_OF_THE_ENVIRONMENT

The interpreter may itself be a virtual environment: `--system-site-packages` would show the packages of its base.
What the environment installs itself comes before them; files of theirs that Python reads at its start (.pth) count too.
"""

import pathlib
import site
import sys
import sysconfig


def folders():
    """Return the folders of packages that this interpreter has, each once."""
    known = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return [path for path in dict.fromkeys(known) if pathlib.Path(path).is_dir()]


def main():
    """Write the file that Python reads at its start."""
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in folders())
    pathlib.Path(sys.argv[1], "host_packages.pth").write_text(lines)


if __name__ == "__main__":
    main()
