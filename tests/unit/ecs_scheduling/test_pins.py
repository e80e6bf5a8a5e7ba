"""Digests are kept with the deployment that found them, and shown with its revision."""

from scheduling_kit import CALLER, run

from cumulo.services.ecs.scheduling.pins import DeploymentPins

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")


async def images(it, revision):
    answer = await it.deployments.describe_revisions(CALLER, {"serviceRevisionArns": [revision]})
    return answer["serviceRevisions"][0]["containerImages"]


def test_the_first_digest_stands_and_is_shown_also_after_a_kill(tmp_path):
    async def body(it):
        await it.create(desiredCount=2)
        await it.work()
        first, second = it.live()
        pins = DeploymentPins(it.records, it.book)
        assert pins.pinned(first, "app") == ""
        assert pins.pin(first, "app", OLD) == OLD
        assert pins.pin(second, "app", NEW) == OLD
        await it.store.commit()
        await it.reopen()
        pins = DeploymentPins(it.records, it.book)
        assert pins.pinned(second, "app") == OLD
        revision = it.book.primary(it.records.services.all()[0].arn).revision_arn
        assert await images(it, revision) == [{"containerName": "app", "image": "nginx", "imageDigest": OLD}]

    run(tmp_path, body)


def test_a_new_deployment_looks_again_and_a_rollback_does_not(tmp_path):
    async def body(it):
        view = await it.steady(
            deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
        )
        pins = DeploymentPins(it.records, it.book)
        old = it.live()[0]
        pins.pin(old, "app", OLD)
        await it.update(taskDefinition="web:2")
        await it.work()
        new = next(one for one in it.live() if one.deployment != old.deployment)
        assert pins.pinned(new, "app") == ""
        pins.pin(new, "app", NEW)
        for _ in range(10):
            for task in it.coming():
                if task.deployment == new.deployment:
                    it.break_off(task)
            await it.work(400)
        primary = it.book.primary(view["serviceArn"])
        assert primary.id == old.deployment
        assert pins.pinned(old, "app") == OLD

    run(tmp_path, body)


def test_tasks_of_no_service_are_not_pinned(tmp_path):
    async def body(it):
        await it.create(desiredCount=1)
        await it.work()
        alone = it.change(it.live()[0], service="")
        pins = DeploymentPins(it.records, it.book)
        assert pins.pin(alone, "app", OLD) == OLD
        assert pins.pinned(alone, "app") == ""

    run(tmp_path, body)
