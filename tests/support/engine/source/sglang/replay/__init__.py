"""How the replay engine works. Only the standard library; see the README beside its source."""
