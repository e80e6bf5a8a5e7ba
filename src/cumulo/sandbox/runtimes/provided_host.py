"""How OS-only runtimes are run: the function's own `bootstrap`, as a program."""

from pathlib import Path

from cumulo.sandbox.contract import RuntimeHost
from cumulo.sandbox.runtimes.catalog import Runtime
from cumulo.sandbox.runtimes.surroundings import TASK_ROOT, environment

LAYER_BOOTSTRAP = "/opt/bootstrap"
NO_BOOTSTRAP = f"Couldn't find valid bootstrap(s): [{TASK_ROOT}/bootstrap {LAYER_BOOTSTRAP}]"
"""What AWS says, as Runtime.InvalidEntrypoint, when neither the code nor a layer has one."""


def prepare(runtime: Runtime, code: Path) -> RuntimeHost:
    """Run the code's `bootstrap`, or else that of a layer (which the launcher then finds or not)."""
    bootstrap = f"{TASK_ROOT}/bootstrap" if (code / "bootstrap").is_file() else LAYER_BOOTSTRAP
    return RuntimeHost(
        runtime=runtime.name,
        argv=(bootstrap,),
        env=environment(runtime),
        binds=(),
        version=runtime.label,
        version_arn=runtime.version_arn,
    )
