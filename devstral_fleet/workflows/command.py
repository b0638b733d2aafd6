"""command: the launch command for hardware x model x tool calling, without a host."""

from dataclasses import dataclass

from devstral_fleet import catalog as catalogs
from devstral_fleet import launch
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode

STYLES = ("recommended", "cookbook")


@dataclass(frozen=True)
class Wish:
    """What the command line said; 0 leaves a number to the catalog."""

    hardware: str
    model: str
    tool_calling: bool
    style: str
    form: str
    gpus: int
    context_length: int
    tensor_parallel: int


def command(console: Console, wish: Wish) -> ExitCode:
    """Print the command (or the compose file, unit, manifest, plan) on standard output."""
    console.text(text(wish))
    return ExitCode.OK


def text(wish: Wish) -> str:
    """Write what was wished for.

    Raises:
        ConfigurationError: an unknown name, or a form that the cookbook does not have. PlanError: nothing fits.
    """
    catalog = catalogs.load()
    if not wish.hardware:
        raise ConfigurationError("no hardware was named", fix=f"--hardware, one of: {', '.join(catalog.gpus)}")
    if wish.style not in STYLES:
        raise ConfigurationError(f"style '{wish.style}' is not known", fix=f"one of: {', '.join(STYLES)}")
    if wish.style == "cookbook":
        if wish.form != "command":
            raise ConfigurationError(
                f"the cookbook has no {wish.form}: it prints one command", fix="leave --style or --format out"
            )
        return launch.cookbook(wish.hardware, wish.model, wish.tool_calling, catalog=catalog)
    plan = launch.generate(
        catalog,
        wish.hardware,
        wish.model,
        wish.tool_calling,
        gpu_count=wish.gpus or None,
        context_length=wish.context_length or None,
        tensor_parallel=wish.tensor_parallel or None,
    )
    return launch.write(plan, wish.form)
