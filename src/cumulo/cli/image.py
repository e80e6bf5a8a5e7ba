"""`cumulo image`: the images of the cloud's ECR: import, build, list, remove, run.

Images live in ECR.  What is imported or built is pushed there, through the same door as `docker push`; what is run is
taken from there (or from any other registry) by the cloud's container engine.
"""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cumulo.cli import builders
from cumulo.cli.cloud import Failed, client, endpoint_option, find_endpoint, talking
from cumulo.cli.image_run import run as run_image

MIB = 1024 * 1024


@click.group("image")
def command() -> None:
    """Import, build, list, remove and run container images (in ECR)."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.argument("name", required=False)
@endpoint_option
def import_(file: Path, name: str | None, endpoint: str | None) -> None:
    """Take the images of a `docker save` or OCI archive (or OCI layout folder) into ECR.

    NAME (repository[:tag]) is for archives of one image; without it the names in the archive are used.  Repositories
    that are missing are created.
    """
    cloud = find_endpoint(endpoint)
    for reference, digest in _push(cloud, file, name):
        click.echo(f"{reference}  {digest}")


@command.command("list")
@click.argument("repository", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@endpoint_option
def list_(repository: str | None, as_json: bool, endpoint: str | None) -> None:
    """List the images of ECR, the youngest of each repository first."""
    cloud = find_endpoint(endpoint)
    with talking(cloud):
        rows = list(_rows(client("ecr", cloud), repository))
    if as_json:
        click.echo(json.dumps(rows))
        return
    wide = max([10, *(len(row["repository"]) for row in rows)])
    tags = max([4, *(len(row["tag"]) for row in rows)])
    click.echo(f"{'REPOSITORY':<{wide}}  {'TAG':<{tags}}  {'DIGEST':<19}  {'SIZE':>10}  PUSHED")
    for row in rows:
        size = f"{row['bytes'] / MIB:.1f} MiB"
        click.echo(
            f"{row['repository']:<{wide}}  {row['tag']:<{tags}}  {row['digest'][:19]:<19}  {size:>10}  {row['pushed']}"
        )


@command.command("rm")
@click.argument("names", nargs=-1, required=True)
@endpoint_option
def remove(names: tuple[str, ...], endpoint: str | None) -> None:
    """Remove images: repository:tag (only the tag, unless it is the last) or repository@digest."""
    cloud = find_endpoint(endpoint)
    aws = client("ecr", cloud)
    for name in names:
        repository, image_id = _image_id(name)
        with talking(cloud):
            answer = aws.batch_delete_image(repositoryName=repository, imageIds=[image_id])
        if answer["failures"]:
            raise Failed(f"{name}: {answer['failures'][0]['failureReason']}")
        click.echo(f"removed {name}")


@command.command("build")
@click.argument("context", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@click.option("--tag", "-t", "name", required=True, help="repository[:tag] in ECR.")
@click.option(
    "--file", "-f", "dockerfile", type=click.Path(path_type=Path, exists=True), help="The Dockerfile."
)
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="For ARG instructions.")
@click.option("--target", default="", help="The stage to build.")
@click.option("--platform", default="", help="As linux/arm64.")
@click.option("--no-cache", is_flag=True, help="Build every step anew.")
@click.option("--builder", type=click.Choice(["auto", *builders.ORDER]), default="auto", show_default=True,
              help="What builds it.")  # fmt: skip
@endpoint_option
def build(
    context: Path, name: str, dockerfile: Path | None, builder: str, endpoint: str | None, **options: Any
) -> None:
    """Build a Dockerfile with docker, buildah or podman, and put the image into ECR."""
    cloud = find_endpoint(endpoint)
    chosen = builders.choose(builder, builders.works)
    if chosen is None:
        wanted = "no builder works here" if builder == "auto" else f"{builder} does not work here"
        raise Failed(f"{wanted}: {builders.REMEDY}")
    with tempfile.TemporaryDirectory(prefix="cumulo-build-") as folder:
        archive, registries = Path(folder) / "image.tar", Path(folder) / "registries.conf"
        registries.write_text(builders.registries_text(cloud, (), builders.system_registries()))
        wish = builders.Wish(
            name=f"localhost/cumulo-build-{uuid.uuid4().hex}:latest",
            context=str(context),
            dockerfile=str(dockerfile) if dockerfile else "",
            **options,
        )
        _carry_out(builders.steps(chosen, wish, archive, registries))
        for reference, digest in _push(cloud, archive, name):
            click.echo(f"{reference}  {digest}")


@command.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("image")
@click.argument("words", nargs=-1, metavar="[COMMAND]...", type=click.UNPROCESSED)
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="A variable; NAME alone takes yours.")
@click.option("--publish", "-p", "ports", multiple=True, metavar="[HOST:]PORT", help="A port of 127.0.0.1.")
@click.option("--volume", "-v", "mounts", multiple=True, metavar="SOURCE:TARGET[:ro]", help="A mount.")
@click.option("--entrypoint", default="", help="Instead of the image's.")
@click.option("--user", "-u", default="", help="Instead of the image's.")
@click.option("--workdir", "-w", "cwd", default="", help="Instead of the image's.")
@click.option("--memory", "memory_mib", type=click.IntRange(0), default=0, help="A limit in MiB.")
@click.option("--cpus", "vcpus", type=click.FloatRange(0), default=0.0, help="A limit of processors.")
@click.option("--read-only", is_flag=True, help="The root file system cannot be written.")
@click.option("--network", type=click.Choice(["bridge", "host", "none"]), default="bridge", show_default=True,
              help="Its network.")  # fmt: skip
@endpoint_option
def run(
    image: str, words: tuple[str, ...], env: tuple[str, ...], endpoint: str | None, **options: Any
) -> None:
    """Run an image of ECR (repository[:tag]) or of another registry until it ends; the exit code is its own."""
    variables = dict(_variable(text) for text in env)
    order = {"image": image, "command": words, "env": variables, **options}
    sys.exit(run_image(find_endpoint(endpoint), order))


def _push(cloud: str, file: Path, name: str | None) -> list[tuple[str, str]]:
    from cumulo.cli.image_push import NothingToPush, PushRefused, push
    from cumulo.engines.images import PullError

    aws = client("ecr", cloud)

    def need(repository: str) -> None:
        try:
            aws.create_repository(repositoryName=repository)
        except aws.exceptions.RepositoryAlreadyExistsException:
            return

    with talking(cloud):
        token = aws.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        try:
            return push(cloud, token, file, name, need)
        except (NothingToPush, PushRefused, PullError) as error:
            raise Failed(str(error)) from error


def _carry_out(steps: builders.Steps) -> None:
    env = {**steps.env, **os.environ}
    try:
        for argv in (steps.build, steps.save):
            done = subprocess.run(argv, env=env, stdout=sys.stderr, check=False)
            if done.returncode != 0:
                raise Failed(f"{argv[0]} ended with {done.returncode}; what it said is above")
    finally:
        subprocess.run(steps.forget, env=env, capture_output=True, check=False)


def _rows(aws: Any, repository: str | None) -> Iterator[dict[str, Any]]:
    names = [repository] if repository else sorted(
        row["repositoryName"]
        for page in aws.get_paginator("describe_repositories").paginate()
        for row in page["repositories"]
    )  # fmt: skip
    for name in names:
        pages = aws.get_paginator("describe_images").paginate(repositoryName=name)
        images = [image for page in pages for image in page["imageDetails"]]
        for image in sorted(images, key=lambda found: found["imagePushedAt"], reverse=True):
            for tag in image.get("imageTags") or ["<none>"]:
                yield {
                    "repository": name,
                    "tag": tag,
                    "digest": image["imageDigest"],
                    "bytes": image.get("imageSizeInBytes", 0),
                    "pushed": f"{image['imagePushedAt']:%Y-%m-%d %H:%M:%S}",
                }


def _image_id(name: str) -> tuple[str, dict[str, str]]:
    repository, at, digest = name.partition("@")
    if at:
        return repository, {"imageDigest": digest}
    repository, colon, tag = name.partition(":")
    if not colon:
        raise click.UsageError(f"{name!r} names no image: repository:tag or repository@digest")
    return repository, {"imageTag": tag}


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return name, value if equals else os.environ.get(name, "")
