"""Manifests, indexes and configurations: what they say, what is refused, and which platform is chosen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.engines.images import Descriptor, Platform, PullError
from cumulo.engines.oci import manifests
from cumulo.engines.oci.manifests import Index, Manifest, choose, config_of, parse_config, parse_manifest

DIGEST = "sha256:" + "a" * 64


def described(kind: str = "", **more) -> dict:
    return {"mediaType": kind, "digest": DIGEST, "size": 7, **more}


def manifest(**fields) -> bytes:
    config = described(manifests.OCI_CONFIG)
    return json.dumps({"schemaVersion": 2, "config": config, "layers": []} | fields).encode()


def offered(*platforms: str) -> list[Descriptor]:
    return [
        Descriptor(
            media_type="",
            digest=f"sha256:{count:064}",
            size=1,
            platform=Platform(text.split("/")[1], text.split("/")[0], "".join(text.split("/")[2:])),
        )
        for count, text in enumerate(platforms)
    ]


@pytest.mark.parametrize(
    "kind",
    [
        manifests.OCI_LAYER,
        f"{manifests.OCI_LAYER}+gzip",
        f"{manifests.OCI_LAYER}+zstd",
        f"{manifests.DOCKER_LAYER}.gzip",
        "",
    ],
)
def test_layers_of_every_packing_are_read(kind):
    found = parse_manifest(manifest(layers=[described(kind)]))
    assert isinstance(found, Manifest)
    assert found.layers == (Descriptor(media_type=kind, digest=DIGEST, size=7),)


def test_an_index_is_known_by_its_content():
    raw = json.dumps(
        {"manifests": [described(platform={"architecture": "arm64", "os": "linux", "variant": "v8"})]}
    )
    found = parse_manifest(raw.encode())
    assert isinstance(found, Index)
    assert found.entries[0].descriptor.platform == Platform("arm64", "linux", "v8")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "corrupt"),
        (b"[]", "corrupt"),
        (b"{", "corrupt"),
        (b"\xff", "corrupt"),
        (b"[" * 100_000, "corrupt"),
        (b"{}", "corrupt"),
        (manifest(layers=None), "corrupt"),
        (manifest(manifests=[]), "corrupt"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "refused"),
        (manifest(config=described("application/vnd.cncf.helm.config.v1+json")), "refused"),
        (manifest(layers=[described("application/octet-stream")]), "refused"),
        (manifest(layers=[described(manifests.OCI_LAYER, urls=["https://example.com/layer"])]), "refused"),
        (
            manifest(layers=[described("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]),
            "refused",
        ),
        (manifest(layers=[described() | {"digest": "sha256:../../etc/passwd"}]), "corrupt"),
        (manifest(layers=[described() | {"size": -1}]), "corrupt"),
        (manifest(layers=[described()] * 501), "refused"),
        (b" " * (4 << 20) + manifest(), "refused"),
    ],
)
def test_what_is_no_image_is_refused(raw, kind):
    with pytest.raises(PullError) as error:
        parse_manifest(raw)
    assert error.value.kind == kind


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        (Platform("amd64"), ["linux/arm64", "linux/amd64"], 1),
        (Platform("amd64"), ["linux/amd64/v3", "linux/amd64/v2"], 1),
        (Platform("amd64"), ["linux/amd64/v2", "linux/amd64"], 1),
        (Platform("amd64"), ["windows/amd64", "linux/amd64"], 1),
        (Platform("arm64"), ["linux/arm64/v8"], 0),
        (Platform("arm64", variant="v8"), ["linux/arm64"], 0),
        (Platform("arm64"), ["linux/arm64/v9", "linux/arm64/v8"], 1),
        (Platform("arm", variant="v7"), ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], 2),
        (Platform("arm", variant="v7"), ["linux/arm/v5", "linux/arm/v6"], 1),
        (Platform("amd64"), ["unknown/unknown", "linux/amd64"], 1),
    ],
)
def test_the_entry_for_the_platform_is_chosen(wanted, there, chosen):
    entries = offered(*there)
    assert choose(entries, wanted) == entries[chosen]


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        (Platform("amd64"), ["linux/arm64", "windows/amd64"]),
        (Platform("arm", variant="v6"), ["linux/arm/v7"]),
        (Platform("arm64", variant="v8"), ["linux/arm64/v9"]),
        (Platform("amd64"), []),
    ],
)
def test_no_entry_for_the_platform_names_those_that_there_are(wanted, there):
    with pytest.raises(PullError) as error:
        choose(offered(*there), wanted)
    assert error.value.kind == "platform"
    assert all(one in str(error.value) for one in there)


def test_a_configuration_without_anything_is_read():
    found = parse_config(
        b'{"config": {"Env": null, "Entrypoint": null, "Cmd": ["a"]}, "architecture": "amd64"}'
    )
    assert found.platform == Platform("amd64")
    assert found.config.command == ("a",)
    assert (found.config.entrypoint, found.diff_ids, found.created_at) == ((), (), 0.0)


def test_what_docker_says_of_an_image_is_read_like_its_configuration():
    said = {"Env": ["A=b=c", "D"], "Entrypoint": ["e"], "Cmd": None, "ExposedPorts": {"80/tcp": {}}}
    found = config_of(said | {"OnBuild": None, "Hostname": ""})
    assert found == parse_config(json.dumps({"config": said}).encode()).config
    assert (found.env, found.exposed) == ({"A": "b=c", "D": ""}, ("80/tcp",))
    with pytest.raises(PullError) as error:
        config_of({"Env": "A=b"})
    assert error.value.kind == "corrupt"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.123456789Z", 10.123456),
        ("1970-01-01T01:00:10+01:00", 10.0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("0001-01-01T00:00:00Z", 0.0),
        ("yesterday", 0.0),
        ("", 0.0),
    ],
)
def test_the_time_of_creation_is_read(text, moment):
    assert parse_config(json.dumps({"created": text}).encode()).created_at == moment


@given(
    st.recursive(
        st.one_of(st.none(), st.text(max_size=5), st.integers(), st.just(described())),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    ["config", "layers", "manifests", "schemaVersion", "rootfs", "diff_ids", "Env"]
                ),
                inner,
            ),
        ),
    )
)
def test_any_json_is_read_or_refused(value):
    raw = json.dumps(value).encode()
    for parse in (parse_manifest, parse_config):
        try:
            parse(raw)
        except PullError:
            continue
