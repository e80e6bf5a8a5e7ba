"""Registry policies, account settings, scanning, signing, pull times: kept, shown, and true about what they do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ecr_rules.rules_kit import FAR, HOME, OTHER, REGION, play, refused

from cumulo.base.caller import Caller
from cumulo.base.policy import Question, Who
from cumulo.services.ecr.rules.policy import allows, fault

PROFILE = f"arn:aws:signer:us-east-1:{HOME}:/signing-profiles/mine"


def policy(**changes):
    statement = {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
        "Action": ["ecr:ReplicateImage"],
        "Resource": [f"arn:aws:ecr:us-east-1:{HOME}:repository/*"],
    } | changes
    statement = {name: value for name, value in statement.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_registry_policy_is_kept_to_the_letter_and_removed(tmp_path):
    async def story(it):
        missing = f"Registry policy does not exist in the registry with id '{HOME}'"
        await refused("RegistryPolicyNotFoundException", it.call("GetRegistryPolicy"), missing)
        await refused("RegistryPolicyNotFoundException", it.call("DeleteRegistryPolicy"), missing)
        text = policy() + "\n"
        assert await it.call("PutRegistryPolicy", policyText=text) == {"registryId": HOME, "policyText": text}
        await it.reopen()
        assert (await it.call("GetRegistryPolicy"))["policyText"] == text
        await refused("RegistryPolicyNotFoundException", it.call("GetRegistryPolicy", region=FAR))
        assert (await it.call("DeleteRegistryPolicy"))["policyText"] == text
        await refused("RegistryPolicyNotFoundException", it.call("GetRegistryPolicy"), missing)

    play(tmp_path, story)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"Statement": []}',
        "[" * 5000,
        json.dumps({"Version": "2011-01-01", "Statement": json.loads(policy())["Statement"]}),
        json.dumps({"Statement": json.loads(policy())["Statement"] * 2}),
        policy(Effect="Maybe"),
        policy(Principal=None),
        policy(Principal={"AWS": 5}),
        policy(Principal={"AWS": "somebody"}),
        policy(Action=None),
        policy(Action="s3:GetObject"),
        policy(Resource=None),
        policy(Resource="everything"),
        policy(Condition=[]),
        policy(Else="x"),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path, text):
    async def story(it):
        put = it.call("PutRegistryPolicy", policyText=text)
        sentence = "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'"
        await refused("InvalidParameterException", put, sentence)

    play(tmp_path, story)


def test_settings_have_their_values_and_their_effect(tmp_path):
    async def story(it):
        assert (await it.call("GetAccountSetting", name="BLOB_MOUNTING"))["value"] == "DISABLED"
        assert (await it.call("GetAccountSetting", name="REGISTRY_POLICY_SCOPE"))["value"] == "V2"
        assert it.rules.blob_mounting(HOME, REGION), "here, silence is a yes"
        answer = await it.call("PutAccountSetting", name="BLOB_MOUNTING", value="DISABLED")
        assert answer == {"name": "BLOB_MOUNTING", "value": "DISABLED"}
        await it.reopen()
        assert not it.rules.blob_mounting(HOME, REGION)
        assert it.rules.blob_mounting(HOME, FAR)
        await it.call("PutAccountSetting", name="BLOB_MOUNTING", value="ENABLED")
        assert it.rules.blob_mounting(HOME, REGION)
        await refused("InvalidParameterException", it.call("GetAccountSetting", name="OTHER"))
        bad = it.call("PutAccountSetting", name="BLOB_MOUNTING", value="MAYBE")
        await refused("InvalidParameterException", bad)
        await it.call("PutRegistryPolicy", policyText=policy(Action="ecr:*"))
        await it.call("PutAccountSetting", name="REGISTRY_POLICY_SCOPE", value="V1")
        wide = it.call("PutRegistryPolicy", policyText=policy(Action="ecr:*"))
        await refused("InvalidParameterException", wide)
        await it.call("PutRegistryPolicy", policyText=policy())

    play(tmp_path, story)


def test_scanning_is_kept_and_tells_each_repository_what_holds_for_it(tmp_path):
    async def story(it):
        before = await it.call("GetRegistryScanningConfiguration")
        assert before["scanningConfiguration"] == {"scanType": "BASIC", "rules": []}
        filters = [{"filter": "prod*", "filterType": "WILDCARD"}]
        rules = [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": filters}]
        continuous = [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": filters}]
        put = "PutRegistryScanningConfiguration"
        await refused("InvalidParameterException", it.call(put, scanType="BASIC", rules=continuous))
        await refused("InvalidParameterException", it.call(put, scanType="BASIC", rules=rules * 2))
        answer = await it.call(put, scanType="BASIC", rules=rules)
        assert answer["registryScanningConfiguration"] == {"scanType": "BASIC", "rules": rules}
        prod, _ = await it.create("prod/app"), await it.create("test")
        found = await it.call(
            "BatchGetRepositoryScanningConfiguration", repositoryNames=["prod/app", "test", "none"]
        )
        assert found["scanningConfigurations"] == [
            {
                "repositoryArn": prod.arn,
                "repositoryName": "prod/app",
                "scanOnPush": True,
                "scanFrequency": "SCAN_ON_PUSH",
                "appliedScanFilters": filters,
            },
            {
                "repositoryArn": prod.arn.replace("prod/app", "test"),
                "repositoryName": "test",
                "scanOnPush": False,
                "scanFrequency": "MANUAL",
                "appliedScanFilters": [],
            },
        ]
        assert found["failures"] == [
            {
                "repositoryName": "none",
                "failureCode": "REPOSITORY_NOT_FOUND",
                "failureReason": "REPOSITORY_NOT_FOUND",
            }
        ]

    play(tmp_path, story)


def test_signing_is_kept_and_its_status_does_not_pretend(tmp_path):
    async def story(it):
        await refused("SigningConfigurationNotFoundException", it.call("GetSigningConfiguration"))
        await refused("SigningConfigurationNotFoundException", it.call("DeleteSigningConfiguration"))
        filters = [{"filter": "prod*", "filterType": "WILDCARD_MATCH"}]
        wanted = {"rules": [{"signingProfileArn": PROFILE, "repositoryFilters": filters}]}
        await it.call("PutSigningConfiguration", signingConfiguration=wanted)
        await it.reopen()
        assert (await it.call("GetSigningConfiguration"))["signingConfiguration"] == wanted
        await it.push(await it.create("prod"), "v1")
        await it.push(await it.create("test"), "v1")

        async def status(name):
            asked = {"repositoryName": name, "imageId": {"imageTag": "v1"}}
            return (await it.call("DescribeImageSigningStatus", **asked))["signingStatuses"]

        (found,) = await status("prod")
        assert (found["signingProfileArn"], found["status"]) == (PROFILE, "FAILED")
        assert await status("test") == []
        await it.call("DeleteSigningConfiguration")
        assert await status("prod") == []

    play(tmp_path, story)


def test_excluded_principals_are_known_by_their_keys(tmp_path):
    async def story(it):
        role = f"arn:aws:iam::{HOME}:role/scanner"
        await it.call("RegisterPullTimeUpdateExclusion", principalArn=role)
        again = it.call("RegisterPullTimeUpdateExclusion", principalArn=role)
        await refused("ExclusionAlreadyExistsException", again)
        await it.reopen()
        assert await it.call("ListPullTimeUpdateExclusions") == {"pullTimeUpdateExclusions": [role]}
        it.principals["ASIA1"] = f"arn:aws:sts::{HOME}:assumed-role/scanner/session"
        it.principals["ASIA2"] = f"arn:aws:iam::{HOME}:role/deployer"
        assert it.rules.excluded(Caller(account=HOME, region=REGION, access_key="ASIA1"))
        assert not it.rules.excluded(Caller(account=HOME, region=FAR, access_key="ASIA1"))
        assert not it.rules.excluded(Caller(account=HOME, region=REGION, access_key="ASIA2"))
        assert not it.rules.excluded(Caller(account=HOME, region=REGION))
        image = await it.push(await it.create(), "v1")
        await it.catalog.pulled(image, Caller(account=HOME, region=REGION, access_key="ASIA1"))
        assert it.has("app", "v1").pulled_at == 0
        await it.catalog.pulled(image, Caller(account=HOME, region=REGION, access_key="ASIA2"))
        assert it.has("app", "v1").pulled_at == it.clock.now()
        await it.call("DeregisterPullTimeUpdateExclusion", principalArn=role)
        gone = it.call("DeregisterPullTimeUpdateExclusion", principalArn=role)
        await refused("ExclusionNotFoundException", gone)
        await refused(
            "InvalidParameterException",
            it.call("RegisterPullTimeUpdateExclusion", principalArn="arn:aws:iam::1:group/x"),
        )

    play(tmp_path, story)


def test_a_reset_forgets_everything(tmp_path):
    async def story(it):
        await it.call("PutAccountSetting", name="BLOB_MOUNTING", value="DISABLED")
        await it.call("PutRegistryPolicy", policyText=policy())
        await it.call("CreateRepositoryCreationTemplate", prefix="ROOT", appliedFor=["CREATE_ON_PUSH"])
        await it.call("CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", upstreamRegistryUrl="quay.io")
        configuration = {"rules": [{"destinations": [{"region": FAR, "registryId": HOME}]}]}
        await it.call("PutReplicationConfiguration", replicationConfiguration=configuration)
        await it.push(await it.create(), "v1")
        assert await it.rules.replicator.work()
        await it.catalog.clear()
        await it.rules.reset()
        await it.reopen()
        rows = await it.store.query("SELECT DISTINCT tbl FROM records")
        assert {tbl for (tbl,) in rows} <= {"ecr_layers", "ecr_metered"}
        assert it.rules.blob_mounting(HOME, REGION)
        assert await it.rules.on_push(HOME, REGION, "app") is None

    play(tmp_path, story)


ARN = f"arn:aws:ecr:us-east-1:{HOME}:repository/prod/app"
ASKED = Question(
    action="ecr:ReplicateImage",
    resource=ARN,
    who=Who(OTHER, f"arn:aws:iam::{OTHER}:role/r"),
    keys={"aws:principalaccount": OTHER},
)


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": OTHER}}, True),
        ({"Principal": {"AWS": ["AROAABCDEFGHIJKLMNOP", f"arn:aws:iam::{OTHER}:role/r"]}}, True),
        ({"Principal": {"AWS": f"arn:aws:iam::{HOME}:root"}}, False),
        ({"Principal": {"Service": "ecr.amazonaws.com"}}, False),
        ({"Principal": None, "NotPrincipal": {"AWS": HOME}}, True),
        ({"Action": "ECR:Replicate*"}, True),
        ({"Action": "ecr:CreateRepository"}, False),
        ({"Action": None, "NotAction": "ecr:CreateRepository"}, True),
        ({"Resource": f"arn:aws:ecr:*:{HOME}:repository/prod/*"}, True),
        ({"Resource": f"arn:aws:ecr:*:{HOME}:repository/pro?/app"}, True),
        ({"Resource": f"arn:aws:ecr:*:{HOME}:repository/prod"}, False),
        ({"Resource": None, "NotResource": ARN}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalAccount": [HOME, OTHER]}}}, True),
        ({"Condition": {"StringNotEquals": {"aws:PrincipalAccount": OTHER}}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False),
        ({"Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Effect": "Deny"}, False),
    ],
)
def test_a_policy_allows_what_it_says(changes, allowed):
    assert allows(policy(**changes), ASKED) == allowed


WORDS = st.sampled_from(
    [
        "Version",
        "2012-10-17",
        "Statement",
        "Effect",
        "Allow",
        "Deny",
        "Principal",
        "AWS",
        "*",
        "Action",
        "ecr:*",
        "Resource",
        "Condition",
        "StringLike",
        "aws:PrincipalAccount",
        OTHER,
        "Sid",
        "NotAction",
        "NotPrincipal",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.dictionaries(WORDS, JSON, max_size=5))
def test_whatever_is_put_as_a_policy_is_judged(document, changes):
    statement = json.loads(policy())["Statement"][0] | changes
    for wanted in (document, {"Statement": document}, {"Statement": [statement]}):
        text = json.dumps(wanted)
        for resources in (True, False):
            if fault(text, resources=resources) and fault(text, resources=not resources):
                assert not allows(text, ASKED)
        allows(text, ASKED)


def test_a_denial_counts_unless_its_condition_fails():
    statements = [json.loads(policy())["Statement"][0]]
    statements.append(
        statements[0]
        | {"Sid": "two", "Effect": "Deny", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    )
    text = json.dumps({"Statement": statements})
    assert fault(text) == ""
    assert allows(text, ASKED)  # a replication comes from no address
    statements[1]["Condition"] = {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    assert not allows(json.dumps({"Statement": statements}), ASKED)
    statements[1]["Condition"] = {"IpAdress": {"aws:SourceIp": "10.0.0.0/8"}}
    assert fault(json.dumps({"Statement": statements})) == "The condition operator IpAdress is not known"
    assert not allows("", ASKED)
    assert not allows("{}", ASKED)
    assert not allows(policy(Principal=None, NotPrincipal={"AWS": "nobody"}), ASKED)
