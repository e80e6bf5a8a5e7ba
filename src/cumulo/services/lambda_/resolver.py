"""Finds what a call reaches, within microseconds: answers are kept until anything changes."""

from cumulo.base.caller import Caller
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.code import CodeStore
from cumulo.services.lambda_.model import LATEST, Function, Ready, State, Version
from cumulo.services.lambda_.names import Target, target
from cumulo.services.lambda_.registry import Registry

ANSWERS_MAX = 10_000
_CALLABLE = frozenset({State.ACTIVE, State.INACTIVE})  # an inactive one looks for its image again

_Key = tuple[str, str, str, str | None]


class FunctionResolver:
    """The control plane's Resolver."""

    def __init__(self, registry: Registry, code: CodeStore) -> None:
        self._registry = registry
        self._code = code
        self._answers: dict[_Key, Ready] = {}
        registry.on_change(self._answers.clear)

    def resolve(self, caller: Caller, function: str, qualifier: str | None) -> Ready:
        """What a call by this name reaches now; see `model.Resolver`."""
        key = (caller.account, caller.region, function, qualifier)
        known = self._answers.get(key)
        if known is not None:
            return known
        ready = self._resolve(target(caller, function, qualifier, operation="InvokeFunction"))
        if len(self._answers) >= ANSWERS_MAX:
            self._answers.clear()
        self._answers[key] = ready
        return ready

    def _resolve(self, wanted: Target) -> Ready:
        function = self._registry.find(wanted)
        if function is None:  # Invoke names the version it looked for, also when the caller did not
            raise errors.function_not_found(f"{wanted.function_arn}:{wanted.version}")
        version = _callable(function, self._registry.version(wanted))
        return Ready(
            version=version,
            code=self._code.tree(version.code_sha256),
            generation=version.generation,
            invoked_arn=wanted.arn,
            reserved_concurrency=function.reserved_concurrency,
        )


def _callable(function: Function, version: Version) -> Version:
    """The version that serves; while `$LATEST` is being updated that is the one before."""
    serving = function.serving if version.version == LATEST else version
    if serving is not None and serving.state in _CALLABLE:
        return serving
    raise errors.not_in_state(
        str(version.state), version.state_reason if version.state is State.FAILED else ""
    )
