"""What the security of APIs remembers between requests, in bounded rooms; nothing of it outlives the process.

AuthorizerCaches   by stage: what Lambda authorizers said of whom
issuers            by issuer: their public keys, and when they were last asked for
tokens             by issuer: claims of tokens whose signature held
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from cumulo.gateway.security.kept import Kept

STAGES_MAX = 4_096
ANSWERS_MAX = 10_000  # of a stage
ANSWER_BYTES_MAX = 16 << 20  # of a stage, all together
ISSUERS_MAX = 1_024
TOKENS_MAX = 4_096
TOKEN_BYTES_MAX = 16 << 20

AnswerKey = tuple[str, ...]


class AuthorizerCaches:
    """What Lambda authorizers answered, by stage; a key names the authorizer and the identity sources' values."""

    def __init__(self) -> None:
        self._stages: OrderedDict[tuple[str, str], Kept[AnswerKey, Any]] = OrderedDict()

    def of(self, api_id: str, stage: str) -> Kept[AnswerKey, Any]:
        """The answers that a stage keeps."""
        key = (api_id, stage)
        found = self._stages.get(key)
        if found is None:
            found = self._stages[key] = Kept(count_max=ANSWERS_MAX, weight_max=ANSWER_BYTES_MAX)
            if len(self._stages) > STAGES_MAX:
                self._stages.popitem(last=False)
        else:
            self._stages.move_to_end(key)
        return found

    def flush(self, api_id: str, stage: str) -> None:
        """Forget what a stage keeps, as FlushStageAuthorizersCache and ResetAuthorizersCache do."""
        self._stages.pop((api_id, stage), None)

    def forget(self, api_id: str) -> None:
        """Forget what all stages of an API keep."""
        for key in [one for one in self._stages if one[0] == api_id]:
            del self._stages[key]


class IssuerRecord:
    """What is known of an issuer.  `turn` is held by who asks it; times are monotonic seconds."""

    __slots__ = ("failure", "fetched_at", "keys", "tried_at", "turn")

    def __init__(self) -> None:
        self.keys: Mapping[str, Any] = {}
        self.fetched_at = float("-inf")
        self.tried_at = float("-inf")
        self.failure = ""
        self.turn = asyncio.Lock()


class SecurityMemory:
    """All of it."""

    def __init__(self) -> None:
        self.authorizers = AuthorizerCaches()
        self.tokens: Kept[tuple[str, ...], Any] = Kept(count_max=TOKENS_MAX, weight_max=TOKEN_BYTES_MAX)
        self._issuers: OrderedDict[str, IssuerRecord] = OrderedDict()

    def issuer(self, name: str) -> IssuerRecord:
        """What is known of an issuer; a new record when it is none that is remembered."""
        found = self._issuers.get(name)
        if found is None:
            found = self._issuers[name] = IssuerRecord()
            if len(self._issuers) > ISSUERS_MAX:
                self._issuers.popitem(last=False)
        else:
            self._issuers.move_to_end(name)
        return found
