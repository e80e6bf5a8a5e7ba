"""What instanceTypes mean, and how many tasks go on an instance."""

import pytest

from cumulo.services.batch.scheduling.facts import Kind, Need
from cumulo.services.batch.scheduling.kinds import kinds_of, tasks_on, unknown_types

CATALOGUE = [
    Kind(name, vcpus, memory)
    for name, vcpus, memory in (
        ("m6i.xlarge", 4000, 16000),
        ("m6i.large", 2000, 8000),
        ("c7i.large", 2000, 4000),
        ("c6g.large", 2000, 4000),
        ("m5.large", 2000, 8000),
        ("m5.4xlarge", 16000, 64000),
        ("m5.2xlarge", 8000, 32000),
    )
]


def names(*instance_types):
    return [kind.name for kind in kinds_of(instance_types, CATALOGUE)]


def test_a_family_is_its_sizes_the_small_ones_first():
    assert names("m5") == ["m5.large", "m5.2xlarge", "m5.4xlarge"]


@pytest.mark.parametrize("bundle", ["optimal", "default_x86_64"])
def test_optimal_is_what_default_x86_64_is(bundle):
    assert names(bundle) == ["c7i.large", "m6i.large", "m6i.xlarge"]


def test_the_arm_bundle_has_arm_families():
    assert names("default_arm64") == ["c6g.large"]


def test_a_type_that_is_named_has_its_own_place_and_is_left_out_of_its_family():
    assert names("m5.4xlarge", "c7i", "m5") == ["m5.4xlarge", "c7i.large", "m5.large", "m5.2xlarge"]
    assert names("m5", "m5.2xlarge") == ["m5.large", "m5.4xlarge", "m5.2xlarge"]


def test_what_no_type_is_meant_by_is_told():
    assert unknown_types(["m5", "z9", "optimal", "m5.huge"], CATALOGUE) == ["z9", "m5.huge"]


@pytest.mark.parametrize(
    ("need", "tasks"),
    [
        (Need(vcpus=1000, memory=1000), 2),
        (Need(vcpus=1000, memory=5000), 1),
        (Need(vcpus=3000, memory=1000), 0),
        (Need(vcpus=1000, memory=1000, nodes=2), 1),
        (Need(vcpus=1000, memory=1000, gpus=1), 0),
        (Need(vcpus=1000, memory=1000, kinds=("m5.large",)), 0),
    ],
)
def test_how_many_tasks_go_on_an_instance(need, tasks):
    assert tasks_on(Kind("m6i.large", 2000, 8000), need) == tasks
