"""The README's two commands in fresh Debian roots."""

import os

import pytest

from tests.soak.fresh_root import SUITES, prove


@pytest.mark.soak
@pytest.mark.parametrize("suite", SUITES)
def test_a_fresh_root_gets_from_a_clone_to_proof(suite: str) -> None:
    assert os.geteuid() == 0, "needs root, for mounts and chroot: sudo make soak"
    assert prove(suite) == 0
