"""Fetch a repository's key, and keep it where its fingerprint is the one that was asked for.

    python3 fetch_key.py [--check] ADDRESS FINGERPRINT PATH

Standard library only: a host may have no gpg before it has any package of ours.
"""

import argparse
import base64
import hashlib
import os
import re
import sys
import tempfile
import urllib.request

TIMEOUT_S = 60
LARGEST = 1 << 20
PUBLIC_KEY = 6
ARMOUR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)


def dearmoured(data):
    """Return the packets of a key, which may be written as text; a checksum line begins with `=`."""
    blocks = ARMOUR.findall(data)
    if not blocks:
        return data
    bodies = (block.replace(b"\r", b"").partition(b"\n\n")[2].split() for block in blocks)
    return b"".join(base64.b64decode(b"".join(line for line in lines if line[:1] != b"=")) for lines in bodies)


def packets(data):
    """Yield (tag, body) of each OpenPGP packet. Source: RFC 9580, section 4.2."""
    at = 0
    while at < len(data):
        head, at = data[at], at + 1
        if not head & 0x80:
            raise ValueError("no OpenPGP packet")
        if head & 0x40:
            tag, first = head & 0x3F, data[at]
            if first < 192:
                size, at = first, at + 1
            elif first < 224:
                size, at = ((first - 192) << 8) + data[at + 1] + 192, at + 2
            elif first == 255:
                size, at = int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
            else:
                raise ValueError("a packet in parts")
        else:
            tag, width = (head >> 2) & 0x0F, 1 << (head & 3)
            if width > 4:
                raise ValueError("a packet without a length")
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        yield tag, data[at : at + size]
        at += size


def fingerprints(data):
    """Return the fingerprint of every primary key of version 4. Source: RFC 9580, section 5.5.4.2."""
    bodies = [body for tag, body in packets(dearmoured(data)) if tag == PUBLIC_KEY]
    return [hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper() for body in bodies]


def checked(data, wanted, source):
    """Return the key, or end with what is wrong with it."""
    try:
        found = fingerprints(data)
    except (ValueError, IndexError) as error:
        sys.exit(f"ERROR: {source} is no key: {error}")
    if found != [wanted]:
        sys.exit(f"ERROR: the key of {source} is {' and '.join(found) or 'none'}, expected {wanted}")
    return data


def present(path, wanted):
    """Tell whether the key is there already."""
    try:
        with open(path, "rb") as file:
            return fingerprints(file.read()) == [wanted]
    except (OSError, ValueError, IndexError):
        return False


def write(path, data):
    """Write a file that appears whole."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(data)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def main():
    """Fetch, check, keep; print the one change."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("address")
    parser.add_argument("fingerprint")
    parser.add_argument("path")
    options = parser.parse_args()
    if present(options.path, options.fingerprint):
        return
    if not options.check:
        try:
            with urllib.request.urlopen(options.address, timeout=TIMEOUT_S) as answer:
                data = answer.read(LARGEST)
        except OSError as error:
            sys.exit(f"ERROR: {options.address} gave no key: {error}")
        write(options.path, checked(data, options.fingerprint, options.address))
    print(f"fetched the key {options.fingerprint}")


if __name__ == "__main__":
    main()
