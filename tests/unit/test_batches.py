"""How many hosts go at the same time."""

import pytest

from devstral_fleet.batches import batch_size
from devstral_fleet.errors import ConfigurationError


@pytest.mark.parametrize(
    ("batch", "hosts", "size"),
    [("3", 10, 3), ("25%", 10, 3), ("25%", 3, 1), ("100%", 7, 7), ("1%", 4, 1), ("", 8, 2), ("50", 4, 50)],
)
def test_a_number_or_a_percentage_rounded_up(batch: str, hosts: int, size: int) -> None:
    assert batch_size(batch, hosts) == size


@pytest.mark.parametrize("batch", ["0", "0%", "101%", "-1", "1.5", "half", "25 %", "٣", "%", "9999999"])
def test_anything_else_is_refused_with_an_example(batch: str) -> None:
    with pytest.raises(ConfigurationError, match="--batch takes") as caught:
        batch_size(batch, 4)
    assert "--batch 25%" in caught.value.fix
