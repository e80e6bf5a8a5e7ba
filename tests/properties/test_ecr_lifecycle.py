"""Lifecycle policies: AWS's own examples, and what must hold for every repository and every policy."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.ecr import lifecycle_rules
from cumulo.services.ecr.lifecycle_plan import DAY_SECONDS, Candidate, plan, selects
from cumulo.services.ecr.lifecycle_rules import Rule
from cumulo.services.ecr.mutability import matches

NOW = 1_800_000_000.0


def image(name, *tags, days=0.0, **more):
    return Candidate(digest=name, tags=tags, pushed_at=NOW - days * DAY_SECONDS, **more)


def rule(priority, status="any", kind="imageCountMoreThan", count=1, action="expire", **more):
    return Rule(priority=priority, tag_status=status, count_type=kind, count=count, action=action, **more)


def gone(images, *rules):
    return {action.digest for action in plan(images, rules, NOW)}


BETA_PROD = [
    image("a", "beta-1", "prod-1", days=10),
    image("b", "beta-2", "prod-2", days=9),
    image("c", "beta-3", days=8),
]


def test_an_image_that_a_rule_has_seen_is_not_for_the_rules_after_it():
    prod, beta = rule(1, "tagged", prefixes=("prod",)), rule(2, "tagged", prefixes=("beta",))
    assert gone(BETA_PROD, prod, beta) == {"a"}


def test_the_other_order_removes_more():
    beta, prod = rule(1, "tagged", prefixes=("beta",)), rule(2, "tagged", prefixes=("prod",))
    assert gone(BETA_PROD, beta, prod) == {"a", "b"}


def test_several_prefixes_must_all_fit():
    images = [
        image("a", "alpha-1", days=12),
        image("b", "beta-1", days=11),
        image("c", "alpha-2", "beta-2", days=10),
    ]
    assert gone(images, rule(1, "tagged", "sinceImagePushed", 5, prefixes=("alpha", "beta"))) == {"c"}
    assert gone(images, rule(1, "tagged", "sinceImagePushed", 5, patterns=("a*a-*", "*2"))) == {"c"}


def test_later_counts_still_see_what_goes_already():
    images = [image("a", "prod-1", days=3), image("b", days=2), image("c", days=1)]
    assert gone(images, rule(1, "tagged", "sinceImagePushed", 1, prefixes=("prod",)), rule(2, count=2)) == {
        "a"
    }


def test_images_of_a_list_stay_with_it_and_go_after_it():
    child = image("child", days=9, parents=("list",))
    kept, old = image("list", "v1", days=1), image("list", "v1", days=9)
    policy = rule(1, "any", "sinceImagePushed", 5)
    assert gone([child, kept], policy) == set()
    assert [one.digest for one in plan([child, old], [policy], NOW)] == ["list", "child"]


def test_artifacts_go_with_their_subject():
    artifact = image("sig", days=0, subject="app")
    assert gone([image("app", days=9), artifact], rule(1, "any", "sinceImagePushed", 5)) == {"app", "sig"}
    assert gone([image("app", days=1), artifact], rule(1, "any", "sinceImagePushed", 5)) == set()
    assert gone([artifact], rule(1)) == set()
    assert gone([image("sig", days=2, subject="app")], rule(1)) == {"sig"}


def test_the_archive_is_entered_by_pulls_and_left_by_time():
    pulled = image("a", days=200, pulled_at=NOW - 10 * DAY_SECONDS)
    idle = image("b", days=200)
    back = image("c", days=200, activated_at=NOW - 1 * DAY_SECONDS, archived_at=NOW - 100 * DAY_SECONDS)
    dead = image("d", days=300, archived=True, archived_at=NOW - 100 * DAY_SECONDS)
    fresh = image("e", days=300, archived=True, archived_at=NOW - 50 * DAY_SECONDS)
    move = rule(1, "any", "sinceImagePulled", 90, "transition")
    clean = rule(2, "any", "sinceImageTransitioned", 90, storage_class="archive")
    actions = {one.digest: one.kind for one in plan([pulled, idle, back, dead, fresh], [move, clean], NOW)}
    assert actions == {"b": "transition", "d": "expire"}


# -- for every repository and policy -----------------------------------------------------------------------

tags = st.lists(st.sampled_from(["prod-1", "prod-2", "dev-1", "beta", "v1", "v2"]), max_size=3, unique=True)
rules = st.lists(
    st.builds(
        rule,
        priority=st.integers(1, 99),
        status=st.sampled_from(["any", "untagged"]),
        kind=st.sampled_from(["imageCountMoreThan", "sinceImagePushed"]),
        count=st.integers(1, 8),
    )
    | st.builds(
        rule,
        priority=st.integers(1, 99),
        status=st.just("tagged"),
        kind=st.sampled_from(["imageCountMoreThan", "sinceImagePushed"]),
        count=st.integers(1, 8),
        patterns=st.sampled_from([("prod*",), ("*1",), ("v*", "*2"), ("beta",)]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.priority,
)


@st.composite
def repositories(draw):
    """Images, some of which are in lists among those before them."""
    images = []
    for number in range(draw(st.integers(0, 12))):
        parents = ()
        if images and draw(st.booleans()):
            parents = tuple(
                draw(st.lists(st.sampled_from([one.digest for one in images]), max_size=2, unique=True))
            )
        subject = draw(st.sampled_from(["", "", "", "i0", "gone"])) if number else ""
        images.append(
            image(f"i{number}", *draw(tags), days=draw(st.integers(0, 12)), parents=parents, subject=subject)
        )
    return images


@settings(max_examples=300, deadline=None)
@given(repositories(), rules)
def test_what_a_plan_may_do(images, policy):
    known = {one.digest: one for one in images}
    actions = plan(images, policy, NOW)
    order = [one.digest for one in actions]
    assert len(set(order)) == len(order)
    for at, action in enumerate(actions):
        one = known[action.digest]
        # A list goes before its images, and no image goes while a list needs it.
        assert all(parent in order[:at] for parent in one.parents)
        if one.subject:
            assert one.subject not in known or one.subject in order
            continue
        # The rule that acts is the first that selects the image by its tags.
        first = min(each.priority for each in policy if selects(each, one))
        assert action.priority == first
        by = next(each for each in policy if each.priority == first)
        if by.count_type == "sinceImagePushed":
            assert NOW - one.pushed_at > by.count * DAY_SECONDS
        else:
            younger = [
                each for each in images if selects(by, each) and not each.subject and each.since >= one.since
            ]
            assert len(younger) > by.count


@settings(max_examples=200, deadline=None)
@given(repositories(), rules)
def test_a_plan_that_was_carried_out_leaves_nothing_over_where_no_list_protects(images, policy):
    plain = [one for one in images if not one.parents and not one.subject]
    left = [one for one in plain if one.digest not in gone(plain, *policy)]
    before = {rule.priority: sum(selects(rule, one) for one in left) for rule in policy}
    assert all(count >= 0 for count in before.values())
    first = min(policy, key=lambda one: one.priority)
    if first.count_type == "imageCountMoreThan":
        assert before[first.priority] <= first.count


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_wildcards_match_as_a_naive_matcher_does(pattern, text):
    def naive(p, t):
        if not p:
            return not t
        if p[0] == "*":
            return naive(p[1:], t) or bool(t and naive(p, t[1:]))
        return bool(t) and p[0] == t[0] and naive(p[1:], t[1:])

    assert matches(pattern, text) == naive(pattern, text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["rules", "rulePriority", "selection", "action", "tagStatus", "countType", "type", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(json_values)
def test_whatever_is_no_policy_is_refused_in_one_way(value):
    start = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "
    caught = None
    try:
        lifecycle_rules.read(json.dumps(value))
    except AwsError as error:
        caught = error
    assert caught is None or (caught.code == "InvalidParameterException" and caught.message.startswith(start))


def document(**selection):
    action = selection.pop("action", {"type": "expire"})
    chosen = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1} | selection
    return {
        "rulePriority": 1,
        "selection": {k: v for k, v in chosen.items() if v is not None},
        "action": action,
    }


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "array is too short: must have at least 1 elements but instance has 0 elements"),
        ([{}], 'object has missing required properties (["action","rulePriority","selection"])'),
        (
            [document() | {"x": 1}],
            'object instance has properties which are not allowed by the schema: (["x"])',
        ),
        (["x"], 'instance type (string) does not match any allowed primitive type (allowed: ["object"])'),
        ([document() | {"rulePriority": "1"}], "instance type (string) does not match"),
        (
            [document(countNumber=0)],
            "numeric instance is lower than the required minimum (minimum: 1, found: 0)",
        ),
        ([document(tagStatus="all")], 'instance value ("all") not found in enum (possible values: '),
        ([document(countUnit="days")], "instance failed to match exactly one schema"),
        ([document(countType="sinceImagePushed")], "instance failed to match exactly one schema"),
        ([document(countType="since")], "instance failed to match exactly one schema"),
        (
            [document(countType="sinceImagePulled", countUnit="days")],
            "instance failed to match exactly one schema",
        ),
        ([document(action={"type": "transition"})], "instance failed to match exactly one schema"),
        (
            [document(tagStatus="tagged")],
            "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.",
        ),
        ([document(tagStatus="untagged", tagPrefixList=["a"])], "Cannot specify tagPrefixList"),
        ([document(), document()], "Rule priorities must be unique"),
        (
            [document(), document() | {"rulePriority": 2}],
            "Rule for tagStatus=ANY must have the lowest priority per storage class",
        ),
        (
            [document(tagStatus="untagged"), document(tagStatus="untagged") | {"rulePriority": 2}],
            "Only one rule can select Untagged images per storage class",
        ),
        ([document(tagStatus="tagged", tagPatternList=["*a*b*c*d*"])], "wildcards"),
    ],
)
def test_policies_are_refused_with_the_reason(entries, why):
    with pytest.raises(AwsError) as caught:
        lifecycle_rules.read(json.dumps({"rules": entries}))
    assert why in caught.value.message


def test_what_is_no_json_cannot_be_mapped():
    for text in ("{", "[]", "1", "[" * 100_000):
        with pytest.raises(AwsError) as caught:
            lifecycle_rules.read(text)
        assert "Could not map policyString into LifecyclePolicy." in caught.value.message
