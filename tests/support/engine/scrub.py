"""Takes the recording machine out of a record: paths, ports and the key become names in braces."""

import re
from dataclasses import dataclass

from tests.support.real_engine import EngineWish

MACHINE_PATH = re.compile(r"/(?:root|home|work|tmp|opt|usr|var)/[\w./+-]*")


@dataclass(frozen=True)
class Scrub:
    """Replaces, longest first; then what still looks like a path of the machine becomes {path}."""

    names: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, wish: EngineWish) -> "Scrub":
        names = {
            str(wish.model): "{model_path}",
            str(wish.directory): "{directory}",
            str(wish.python.parent.parent): "{environment}",
            wish.api_key: "{api_key}",
            str(wish.port): "{port}",
        }
        return cls(tuple(sorted(names.items(), key=lambda pair: -len(pair[0]))))

    def __call__(self, text: str) -> str:
        for found, name in self.names:
            text = text.replace(found, name)
        return MACHINE_PATH.sub("{path}", text)
