"""What a served model must be able to do, asked of the endpoint with the `openai` client."""

from devstral_fleet.smoke.run import CHECKS, Check, run

__all__ = ["CHECKS", "Check", "run"]
