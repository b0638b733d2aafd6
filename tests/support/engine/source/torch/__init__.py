"""A name and a version for what asks whether torch is here. There is no torch in the replay engine."""
