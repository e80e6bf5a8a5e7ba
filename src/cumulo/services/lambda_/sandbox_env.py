"""What a function's process finds in its environment: AWS's variables, its own, its role's keys.  Pure."""

from collections.abc import Mapping

import msgspec

from cumulo.base.ports import Credentials
from cumulo.sandbox.contract import Early, RuntimeHost, SandboxSpec
from cumulo.services.lambda_.model import Ready, Version

MIB_PER_VCPU = 1769

# Of what the runtime brings, a function's own variables may not change these.
_RUNTIME_RESERVED = ("AWS_EXECUTION_ENV", "LAMBDA_RUNTIME_DIR")


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """The names of one execution environment."""

    sandbox: str
    tmp: str
    stream: str


def variables(
    version: Version, host_env: Mapping[str, str], stream: str, keys: Credentials | None
) -> dict[str, str]:
    """The whole environment but for what the launcher adds."""
    platform = {
        "_HANDLER": version.handler,
        "AWS_REGION": version.region,
        "AWS_DEFAULT_REGION": version.region,
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mib),
        "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }
    if version.logging.format == "JSON":
        platform["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        platform["AWS_LAMBDA_LOG_LEVEL"] = version.logging.application_level or "INFO"
    if keys is not None:
        platform["AWS_ACCESS_KEY_ID"] = keys.access_key
        platform["AWS_SECRET_ACCESS_KEY"] = keys.secret_key
        platform["AWS_SESSION_TOKEN"] = keys.session_token
    if version.from_image:
        # The image has its own ideas of where its code is and which language is spoken; AWS leaves them alone.
        return {**version.environment, **platform}
    platform["LAMBDA_TASK_ROOT"] = "/var/task"
    defaults = {"TZ": ":UTC", "LANG": "en_US.UTF-8"}
    reserved = {name: host_env[name] for name in _RUNTIME_RESERVED if name in host_env}
    return {**defaults, **host_env, **version.environment, **reserved, **platform}


def early(host: RuntimeHost) -> Early | None:
    """How the runtime is started before its function is known, if it can be."""
    return Early(argv=host.argv, env=host.env, binds=host.binds) if host.early_unless else None


def leaves_alone(env: Mapping[str, str], host: RuntimeHost) -> bool:
    """Whether a function's environment has the runtime's own values of all that counts when a process starts."""
    prefixes = tuple(name[:-1] for name in host.early_unless if name.endswith("*"))
    return all(
        env.get(name) == host.env.get(name)
        for name in (env.keys() | host.env.keys())
        if name in host.early_unless or name.startswith(prefixes)
    )


def sandbox_spec(ready: Ready, host: RuntimeHost, names: Naming, keys: Credentials | None) -> SandboxSpec:
    """What to ask of the launcher."""
    version = ready.version
    env = variables(version, host.env, names.stream, keys)
    return SandboxSpec(
        name=names.sandbox,
        argv=host.argv,
        env=env,
        code=ready.code,
        memory_mib=version.memory_mib,
        vcpus=version.memory_mib / MIB_PER_VCPU,
        tmp_name=names.tmp,
        tmp_mib=version.tmp_mib,
        binds=host.binds,
        early=early(host) if leaves_alone(env, host) else None,
        image=host.image,
    )
