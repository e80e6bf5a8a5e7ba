"""The contract: what a container's process is, from its image and its spec."""

import pytest

from cumulo.engines.engine import ContainerSpec, ContainerState, StartFailed
from tests.engines.kit import Lab

RULES: tuple[tuple[tuple[str, ...] | None, tuple[str, ...] | None, str], ...] = (
    (None, None, "entry of image"),
    (None, ("mine",), "entry mine"),
    (None, (), "entry"),
    (("echo", "other"), None, "other"),
    (("echo", "other"), ("mine",), "other mine"),
    ((), ("echo", "bare"), "bare"),
)


async def test_entrypoint_and_command(lab: Lab) -> None:
    containers = [
        ContainerSpec(name=f"c{n}", image=lab.dressed.id, entrypoint=entrypoint, command=command)
        for n, (entrypoint, command, _) in enumerate(RULES)
    ]
    pod = await lab.up(*containers)
    for n, (_, _, printed) in enumerate(RULES):
        assert (await lab.engine.wait(pod.name, f"c{n}")).code == 0
        assert [line.text.decode() for line in await lab.logs(pod.name, f"c{n}")] == [printed]


async def test_the_environment_is_the_image_s_and_the_spec_s_above_it(lab: Lab) -> None:
    ran = await lab.run(
        entrypoint=("env",), image=lab.dressed.id, env={"TASTE": "sour", "NEW": "a=b c", "EMPTY": ""}
    )
    found = dict(line.split("=", 1) for line in ran.out.splitlines())
    wanted = {"COLOR": "red", "TASTE": "sour", "NEW": "a=b c", "EMPTY": ""}
    assert {key: found[key] for key in wanted} == wanted


async def test_the_working_folder_is_the_image_s_or_the_spec_s(lab: Lab) -> None:
    assert (await lab.run(entrypoint=("pwd",), image=lab.dressed.id)).out == "/srv/work\n"
    assert (await lab.run("pwd", cwd="/tmp")).out == "/tmp\n"
    assert (await lab.run("pwd")).out == "/\n"


async def test_a_working_folder_that_is_not_there_is_made(lab: Lab) -> None:
    lab.needs_kernel()
    assert (await lab.run("pwd", cwd="/made/for/it")).out == "/made/for/it\n"


USERS = {
    "": "0:0",
    "app": "1000:1001",
    "1000": "1000:1001",
    "4321": "4321:0",
    "app:staff": "1000:50",
    "4321:1234": "4321:1234",
    "root": "0:0",
}


async def test_users_are_looked_up_in_the_image(lab: Lab) -> None:
    lab.needs_kernel()
    show = ("sh", "-c", "echo $(id -u):$(id -g)")
    pod = await lab.up(*(lab.container(*show, name=f"c{n}", user=user) for n, user in enumerate(USERS)))
    for n, (user, wanted) in enumerate(USERS.items()):
        await lab.engine.wait(pod.name, f"c{n}")
        assert [line.text.decode() for line in await lab.logs(pod.name, f"c{n}")] == [wanted], user


async def test_a_user_has_its_further_groups_and_its_home(lab: Lab) -> None:
    ran = await lab.sh("id -G; echo $HOME", user="app")
    groups, home = ran.out.splitlines()
    assert set(groups.split()) >= {"1001", "50"}
    assert home == "/home/app"


async def test_the_image_s_user_is_used(lab: Lab) -> None:
    ran = await lab.sh("id -u", image=lab.dressed.id, entrypoint=())
    assert ran.out == "1000\n"


async def test_a_user_that_is_not_there_fails_the_start(lab: Lab) -> None:
    lab.needs_kernel()
    spec = lab.pod(lab.container("true", user="stranger"))
    await lab.engine.create(spec)
    with pytest.raises(StartFailed, match="stranger") as caught:
        await lab.engine.start(spec.name, "main")
    assert caught.value.kind == "user"
    status = (await lab.engine.inspect(spec.name)).containers["main"]
    assert status.state is ContainerState.EXITED
    assert status.exit is not None
    assert status.exit.code in {126, 127, 128}


async def test_a_terminal_of_its_own(lab: Lab) -> None:
    lab.needs_kernel()
    with_it = await lab.run("sh", "-c", "test -t 1 && echo terminal", terminal=True)
    assert "terminal" in with_it.out
    without = await lab.run("sh", "-c", "test -t 1 || echo none")
    assert without.out == "none\n"


async def test_the_hostname_is_the_pod_s(lab: Lab) -> None:
    ran = await lab.sh("hostname", pod={"name": "named"})
    assert ran.out == "named\n"
    ran = await lab.sh("hostname; cat /etc/hostname", pod={"hostname": "other"})
    assert ran.out.split() == ["other", "other"]
