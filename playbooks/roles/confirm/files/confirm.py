"""Mark a release as proven and remove what no kept release needs; say what was changed.

    python3 confirm.py [--check] HOME RELEASE KEEP

`previous` takes over what `current` was, then `current` points to RELEASE: a break between the two leaves both
pointing to proven releases. Kept are the KEEP newest releases and those that serving, current and previous name.
A release that does not serve cannot be proven: the guard may have given the host back in between.
Each line printed is one change, made or (with --check) only foreseen.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess

LINKS = ("serving", "current", "previous")


def target(link):
    """Return the name of the release that `link` points to, '' for no link."""
    return os.path.basename(os.readlink(link)) if link.is_symlink() else ""


def point(link, release, check):
    """Yield the change that makes `link` point to releases/`release`, by one rename."""
    if target(link) == release:
        return
    yield f"{link.name} is now {release}"
    if not check:
        partial = link.with_name(f".{link.name}.{os.getpid()}")
        partial.unlink(missing_ok=True)
        partial.symlink_to(os.path.join("releases", release))
        os.replace(partial, link)


def mark(home, release, check):
    """Yield the changes of both links."""
    current = target(home / "current")
    if current and current != release and (home / "releases" / current).is_dir():
        yield from point(home / "previous", current, check)
    yield from point(home / "current", release, check)


def remove(path, check):
    """Yield the removal of a directory; what a running removal left half done is removed by the next one."""
    yield f"removed {path}"
    if not check:
        shutil.rmtree(path)


def old_releases(home, release, keep):
    """Return the release directories that are neither among the `keep` newest whole ones nor named by a link."""
    releases = sorted((path for path in (home / "releases").glob("*") if path.is_dir()), key=lambda path: path.name)
    whole = [path for path in releases if (path / "release.json").is_file()]
    named = {release, *(target(home / link) for link in LINKS)}
    return [path for path in releases if path not in whole[-keep:] and path.name not in named]


def plans(releases):
    """Yield the plan of each release that has one."""
    for path in releases:
        try:
            yield json.loads((path / "release.json").read_text())["plan"]
        except (OSError, ValueError, KeyError):
            continue


def needed(releases):
    """Return (environment digests, model directories) that the plans of `releases` name."""
    environments, models = set(), set()
    for plan in plans(releases):
        environments.add((plan.get("engine_environment") or {}).get("digest"))
        models.add(plan["files"]["directory"])
    return environments, models


def images(releases):
    """Return the names of the images that the plans of `releases` start."""
    return {plan["image"]["reference"] for plan in plans(releases) if plan.get("image")}


def remove_image(name, check):
    """Yield the removal of an image's name; its layers go with the last name that holds them."""
    found = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    if found.returncode == 0:
        yield f"removed image {name}"
        if not check:
            subprocess.run(["docker", "image", "rm", name], capture_output=True, check=False)  # others may use it


def unneeded(home, removed):
    """Return environments and models that this project finished and that no kept release names."""
    kept = [path for path in (home / "releases").glob("*") if path not in removed]
    environments, models = needed(kept)
    finished = (marker.parent for kind in ("environments", "models") for marker in home.glob(f"{kind}/*/.complete"))
    return sorted(path for path in finished if path.name not in environments | models)


def changes(home, release, keep, check):
    """Yield every change, in the order in which it is made."""
    yield from mark(home, release, check)
    removed = old_releases(home, release, keep)
    kept = [path for path in (home / "releases").glob("*") if path not in removed]
    for name in sorted(images(removed) - images(kept)):
        yield from remove_image(name, check)
    for path in (*removed, *unneeded(home, removed)):
        yield from remove(path, check)


def main():
    """Parse the command line and print the changes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("home", type=pathlib.Path)
    parser.add_argument("release")
    parser.add_argument("keep", type=int)
    options = parser.parse_args()
    if not (options.home / "releases" / options.release / "release.json").is_file() and not options.check:
        raise SystemExit(f"{options.home}/releases/{options.release} is no release")
    serving = target(options.home / "serving")
    if serving != options.release and not options.check:
        raise SystemExit(f"{serving or 'nothing'} serves by now, not {options.release}: it was not proven")
    for change in changes(options.home, options.release, options.keep, options.check):
        print(change)


if __name__ == "__main__":
    main()
