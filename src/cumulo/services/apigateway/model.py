"""The records of REST APIs.  What the gateway answers from lies in `definition` and `snapshot`; the rest is for clients."""

from collections.abc import Mapping

import msgspec

from cumulo.gateway.definitions.rest import Canary, MethodSetting, RestDefinition
from cumulo.state.store import join_key

Tags = Mapping[str, str]


class Owned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an account has in a region, by its id."""

    account: str
    region: str
    id: str
    tags: Tags = {}

    @property
    def key(self) -> str:
        """Account, region and id."""
        return join_key(self.account, self.region, self.id)

    @property
    def owner(self) -> str:
        """Account and region."""
        return join_key(self.account, self.region)


class OfApi(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What belongs to an API."""

    account: str
    region: str
    api_id: str

    @property
    def api(self) -> str:
        """The key of the API."""
        return join_key(self.account, self.region, self.api_id)


class Api(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A REST API as it is being worked on.

    api_status   empty: as AWS shows it for APIs without a security policy of their own
    """

    definition: RestDefinition
    created_at: float
    description: str | None = None
    version: str = ""
    ip_address_type: str = "ipv4"
    vpc_endpoint_ids: tuple[str, ...] = ()
    security_policy: str = ""
    endpoint_access_mode: str = ""
    warnings: tuple[str, ...] = ()
    tags: Tags = {}

    @property
    def id(self) -> str:
        """The API's id."""
        return self.definition.api_id

    @property
    def key(self) -> str:
        """Account, region and id."""
        return join_key(self.definition.account, self.definition.region, self.definition.api_id)

    @property
    def owner(self) -> str:
        """Account and region."""
        return join_key(self.definition.account, self.definition.region)


class Deployment(OfApi, frozen=True, kw_only=True, omit_defaults=True):
    """What an API was at a moment: `snapshot` is its RestDefinition, encoded once and decoded when it is compiled.

    The API's name and whether its own host name answers are beside it: publishing decodes nothing.
    """

    id: str
    created_at: float
    snapshot: bytes
    api_name: str = ""
    disable_execute_api_endpoint: bool = False
    description: str | None = None

    @property
    def key(self) -> str:
        """The API's key and the id."""
        return join_key(self.account, self.region, self.api_id, self.id)


class Setting(MethodSetting, frozen=True, kw_only=True, omit_defaults=True):
    """A method setting as clients see it: a level that nobody set is not shown."""

    logging_level: str = ""


class VpcLink(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """A link to a Network Load Balancer in a VPC."""

    name: str
    target_arns: tuple[str, ...]
    created_at: float
    description: str | None = None


class ClientCertificate(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """What the gateway shows to backends; the private key never leaves."""

    pem: str
    private_key: str
    created_at: float
    expires_at: float
    description: str | None = None


class DocumentationPart(OfApi, frozen=True, kw_only=True, omit_defaults=True):
    """What is said of a part of an API: `properties` are JSON text, the location's members are empty where it has none."""

    id: str
    type: str
    properties: str
    path: str = ""
    method: str = ""
    status_code: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """The API's key and the id."""
        return join_key(self.account, self.region, self.api_id, self.id)


class DocumentationVersion(OfApi, frozen=True, kw_only=True, omit_defaults=True):
    """An API's documentation as it was at a moment."""

    version: str
    created_at: float
    parts: tuple[DocumentationPart, ...] = ()
    description: str | None = None

    @property
    def key(self) -> str:
        """The API's key and the version."""
        return join_key(self.account, self.region, self.api_id, self.version)


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for all APIs of an account in a region."""

    account: str
    region: str
    cloudwatch_role_arn: str = ""

    @property
    def key(self) -> str:
        """Account and region."""
        return join_key(self.account, self.region)


class Stage(OfApi, frozen=True, kw_only=True, omit_defaults=True):
    """A stage of an API.

    method_settings  by `<path without its first slash, / as ~1>/<METHOD>`, or `*/*`
    cache_since      when the cache cluster was last changed; it is in progress for a moment after that
    """

    name: str
    deployment_id: str
    created_at: float
    updated_at: float
    description: str | None = None
    variables: Mapping[str, str] = {}
    method_settings: Mapping[str, Setting] = {}
    canary: Canary | None = None
    cache_enabled: bool = False
    cache_size: str = ""
    cache_since: float = 0.0
    client_certificate_id: str = ""
    access_log_arn: str = ""
    access_log_format: str = ""
    tracing_enabled: bool = False
    documentation_version: str = ""
    tags: Tags = {}

    @property
    def key(self) -> str:
        """The API's key and the name."""
        return join_key(self.account, self.region, self.api_id, self.name)
