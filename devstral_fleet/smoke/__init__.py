"""What a served model must be able to do, asked of the endpoint with the `openai` client."""

from devstral_fleet.smoke.run import CHECKS, Check, checks_of, run

__all__ = ["CHECKS", "Check", "checks_of", "run"]
