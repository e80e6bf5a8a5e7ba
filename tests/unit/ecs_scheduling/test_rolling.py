"""Rolling deployments: within the percents, by health and not by running alone; circuit breaker; rollback."""

import asyncio

import pytest
from scheduling_kit import BALANCER, CALLER, GROUP, SETTLE, a_definition, refused, run

from cumulo.services.ecs.launching import NO_CAPACITY
from cumulo.services.ecs.model import TaskStatus
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.seams import Failure

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


def of_revision(it, revision, tasks):
    return [one for one in tasks if one.definition_arn.endswith(f"web:{revision}")]


def test_a_new_definition_replaces_the_old_one_when_its_tasks_are_healthy(tmp_path):
    async def body(it):
        await it.steady(desiredCount=2)
        view = await it.update(taskDefinition="web:2")
        assert [one["status"] for one in view["deployments"]] == ["PRIMARY", "ACTIVE"]
        await it.work()
        assert len(of_revision(it, 1, it.running())) == 2
        assert len(of_revision(it, 2, it.coming())) == 2
        for task in it.coming():
            it.begin(task)
        await it.work(SETTLE - 1)
        assert len(of_revision(it, 1, it.running())) == 2  # RUNNING is not healthy yet
        await it.work(1)
        assert of_revision(it, 1, it.running()) == []
        view = await it.describe()
        assert len(view["deployments"]) == 2  # the old ones still stop
        it.end()
        await it.work()
        view = await it.describe()
        (deployment,) = view["deployments"]
        assert deployment["rolloutState"] == "COMPLETED"
        assert deployment["taskDefinition"].endswith("web:2")
        assert view["taskDefinition"].endswith("web:2")

    run(tmp_path, body)


def test_minimum_rounds_up_and_maximum_down(tmp_path):
    async def body(it):
        percents = {"minimumHealthyPercent": 50, "maximumPercent": 150}
        await it.steady(desiredCount=5, deploymentConfiguration=percents)  # at least 3, at most 7
        await it.update(taskDefinition="web:2")
        await it.work()
        assert len(of_revision(it, 2, it.coming())) == 4
        assert len(of_revision(it, 1, it.running())) == 3
        await it.flow()
        assert len(of_revision(it, 2, it.running())) == 5
        assert len(it.live()) == 5

    run(tmp_path, body)


def test_without_room_above_old_ones_stop_first(tmp_path):
    async def body(it):
        percents = {"minimumHealthyPercent": 0, "maximumPercent": 100}
        await it.steady(desiredCount=1, deploymentConfiguration=percents)
        await it.update(taskDefinition="web:2")
        await it.work()
        assert it.running() == []
        assert len(of_revision(it, 2, it.coming())) == 1

    run(tmp_path, body)


def test_when_the_cluster_is_full_old_ones_make_place_down_to_the_minimum(tmp_path):
    async def body(it):
        percents = {"minimumHealthyPercent": 50, "maximumPercent": 200}
        await it.steady(desiredCount=4, deploymentConfiguration=percents)
        it.launches.room = 4
        await it.update(taskDefinition="web:2")
        await it.work()
        assert len(it.running()) == 2
        for _ in range(4):
            it.end()
            await it.work(30)
            for task in it.coming():
                it.begin(task)
            await it.work(SETTLE)
        assert len(of_revision(it, 2, it.running())) == 4
        assert not of_revision(it, 1, it.running())

    run(tmp_path, body)


def test_the_same_definition_is_no_new_deployment_unless_forced(tmp_path):
    async def body(it):
        before = await it.steady()
        view = await it.update(taskDefinition="web:1", desiredCount=2)
        assert [one["id"] for one in view["deployments"]] == [before["deployments"][0]["id"]]
        view = await it.update(forceNewDeployment=True)
        assert len(view["deployments"]) == 2
        await it.flow()
        view = await it.describe()
        assert [one["id"] for one in view["deployments"]] != [before["deployments"][0]["id"]]
        assert view["runningCount"] == 2

    run(tmp_path, body)


def test_a_deployment_over_another_stops_what_the_one_between_has_begun(tmp_path):
    async def body(it):
        await it.steady(desiredCount=2)
        await it.update(taskDefinition="web:2")
        await it.work()
        await it.update(taskDefinition="web:3")
        await it.work()
        assert not of_revision(it, 2, it.wanted())
        assert len(of_revision(it, 1, it.running())) == 2
        await it.flow()
        assert len(of_revision(it, 3, it.running())) == 2
        listed = await it.deployments.list_(CALLER, {"cluster": "main", "service": "shop"})
        assert [one["status"] for one in listed["serviceDeployments"]] == [
            "SUCCESSFUL",
            "STOPPED",
            "SUCCESSFUL",
        ]

    run(tmp_path, body)


@pytest.mark.parametrize("desired", [2, 4, 10])
def test_the_circuit_breaker_trips_at_its_threshold_and_rolls_back(tmp_path, desired):
    async def body(it):
        before = await it.steady(desiredCount=desired, deploymentConfiguration=BREAKER)
        old = before["deployments"][0]["id"]
        view = await it.update(taskDefinition="web:2")
        new = view["deployments"][0]["id"]
        threshold = max(3, (desired + 1) // 2)
        failed = 0
        it.crash(it.running()[0])  # so that the way back has something to do
        kept = {one.id for one in it.running()}
        while True:
            await it.work(1000)
            coming = it.coming()
            assert coming, "it gave up before the threshold"
            it.break_off(coming[0])
            failed += 1
            if failed == threshold:
                break
        await it.work()
        view = await it.describe()
        primary, loser = view["deployments"]
        assert (primary["id"], primary["rolloutState"]) == (old, "IN_PROGRESS")
        assert primary["rolloutStateReason"] == (
            f"ECS deployment circuit breaker: rolling back to deploymentId {old}."
        )
        assert (loser["id"], loser["rolloutState"], loser["failedTasks"]) == (new, "FAILED", threshold)
        assert loser["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
        assert view["taskDefinition"].endswith("web:1")
        await it.flow()
        view = await it.describe()
        assert [one["rolloutState"] for one in view["deployments"]] == ["COMPLETED"]
        assert kept < {one.id for one in it.running()}  # nothing of the good deployment was touched
        story = await it.story()
        assert f"(deployment {new}) deployment failed: tasks failed to start." in story
        assert f"rolling back to deployment {old}." in story
        assert "SERVICE_DEPLOYMENT_FAILED" in [one.name for one in it.told]
        (found,) = (
            await it.deployments.list_(
                CALLER, {"cluster": "main", "service": "shop", "status": ["ROLLBACK_SUCCESSFUL"]}
            )
        )["serviceDeployments"]
        whole = await it.deployments.describe(
            CALLER, {"serviceDeploymentArns": [found["serviceDeploymentArn"]]}
        )
        (one,) = whole["serviceDeployments"]
        assert one["deploymentCircuitBreaker"] == {
            "status": "TRIGGERED",
            "failureCount": threshold,
            "threshold": threshold,
        }
        assert one["statusReason"] == (
            "Service deployment rolled back because the circuit breaker threshold was exceeded."
        )
        assert one["rollback"]["serviceRevisionArn"].endswith(old.removeprefix("ecs-svc/"))

    run(tmp_path, body)


def test_without_a_completed_deployment_a_tripped_breaker_only_stalls(tmp_path):
    async def body(it):
        await it.create(desiredCount=1, deploymentConfiguration=BREAKER)
        for _ in range(3):
            await it.work(1000)
            it.break_off(it.coming()[0])
        await it.work(1000)
        (deployment,) = (await it.describe())["deployments"]
        assert deployment["rolloutState"] == "FAILED"
        assert it.coming() == []
        (found,) = (await it.deployments.list_(CALLER, {"cluster": "main", "service": "shop"}))[
            "serviceDeployments"
        ]
        assert (found["status"], found["statusReason"]) == (
            "ROLLBACK_FAILED",
            "No rollback candidate was found to run the rollback.",
        )
        await it.update(taskDefinition="web:2")
        await it.flow()
        assert (await it.describe())["deployments"][0]["rolloutState"] == "COMPLETED"

    run(tmp_path, body)


def test_a_rollback_that_fails_too_ends_there(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1, deploymentConfiguration=BREAKER)
        await it.update(taskDefinition="web:2")
        it.crash(it.running()[0])
        for _ in range(3):
            await it.work(1000)
            it.break_off(it.coming()[0])
        for _ in range(3):
            await it.work(1000)
            it.break_off(it.coming()[0])
        await it.work(1000)
        view = await it.describe()
        assert view["deployments"][0]["rolloutState"] == "FAILED"
        listed = await it.deployments.list_(CALLER, {"cluster": "main", "service": "shop"})
        assert [one["status"] for one in listed["serviceDeployments"]] == ["ROLLBACK_FAILED", "SUCCESSFUL"]

    run(tmp_path, body)


def test_a_task_that_ends_before_it_was_healthy_is_a_failure_and_a_healthy_one_forgives(tmp_path):
    async def body(it):
        await it.create(desiredCount=1, deploymentConfiguration=BREAKER)
        await it.work()
        it.begin(it.coming()[0])
        await it.work()
        it.crash(it.running()[0])
        await it.work(10)
        assert (await it.describe())["deployments"][0]["failedTasks"] == 1
        it.begin(it.coming()[0])
        await it.work()
        await it.work(SETTLE)
        assert (await it.describe())["deployments"][0]["failedTasks"] == 0
        it.crash(it.running()[0])
        await it.work(10)
        assert (await it.describe())["deployments"][0]["failedTasks"] == 0  # it was healthy

    run(tmp_path, body)


def test_tasks_that_never_run_are_tried_ever_less_often(tmp_path):
    async def body(it):
        await it.create(desiredCount=1)
        waits = []
        for _ in range(14):
            began = it.clock.now()
            while not it.coming():
                await it.work(1)
            waits.append(round(it.clock.now() - began))
            it.break_off(it.coming()[0])
        assert waits[1:6] == [1, 2, 4, 8, 16]
        assert waits[-1] == 900
        assert (await it.story()).count("is unable to consistently start tasks successfully.") == 1
        assert [one.name for one in it.told].count("SERVICE_TASK_START_IMPAIRED") == 1

    run(tmp_path, body)


def test_a_task_without_a_place_is_complained_of_and_tried_when_there_is_room(tmp_path):
    async def body(it):
        it.launches.room = 1
        await it.create(desiredCount=2)
        await it.work()
        assert (
            "was unable to place a task because no container instance met all of its requirements. Reason: No"
            " Container Instances were found in your cluster. For more information, see the Troubleshooting"
            " section of the Amazon ECS Developer Guide." in await it.story()
        )
        asked = len(it.launches.requests)
        await it.work()
        assert len(it.launches.requests) == asked  # not again at once
        await it.create("other", desiredCount=0)
        it.launches.room = 2
        it.change(
            it.coming()[0],
            last_status=TaskStatus.STOPPED,
            desired_status="STOPPED",
            stop_code="UserInitiated",
        )
        await it.work()
        assert len(it.coming()) == 2

    run(tmp_path, body)


def test_what_launching_refuses_is_an_event(tmp_path):
    async def body(it):
        await it.create(desiredCount=1)
        it.launches.refusal = invalid("It can not be.")
        await it.work()
        assert "was unable to place a task. Reason: It can not be." in await it.story()
        it.launches.refusal = None
        await it.work(60)
        assert len(it.coming()) == 1

    run(tmp_path, body)


def test_why_a_task_did_not_come_up_is_an_event_once(tmp_path):
    async def body(it):
        await it.create(desiredCount=1)
        for _ in range(2):
            await it.work(10)
            task = it.change(it.coming()[0], stopped_reason="CannotPullContainerError: it is not there")
            it.break_off(task)
        story = await it.story()
        assert (
            story.count("was unable to place a task. Reason: CannotPullContainerError: it is not there.") == 1
        )

    run(tmp_path, body)


def test_a_full_machine_is_awss_capacity_failure(tmp_path):
    async def body(it):
        it.launches.room = 0
        it.launches.failure = Failure(NO_CAPACITY)
        await it.create(desiredCount=1)
        await it.work()
        assert await it.story() == [
            "was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a"
            " different availability zone. For more information, see the Troubleshooting section of the Amazon ECS"
            " Developer Guide."
        ]
        (told,) = [one for one in it.told if one.name == "SERVICE_TASK_PLACEMENT_FAILURE"]
        assert (told.kind, told.reason) == ("ERROR", "RESOURCE:FARGATE")

    run(tmp_path, body)


def test_percents_that_block_a_deployment_are_said(tmp_path):
    async def body(it):
        percents = {"minimumHealthyPercent": 50, "maximumPercent": 150}  # of one task: at least 1, at most 1
        await it.steady(desiredCount=1, deploymentConfiguration=percents)
        await it.update(taskDefinition="web:2")
        await it.work()
        assert (await it.story())[-1].startswith("was unable to stop or start tasks during a deployment")
        assert len(it.running()) == 1

    run(tmp_path, body)


# -- health ------------------------------------------------------------------------------------------------


def test_a_container_health_check_decides_when_there_is_one(tmp_path):
    async def body(it):
        it.records.definitions.put(a_definition(revision=2, health=True))
        await it.steady(desiredCount=1)
        await it.update(taskDefinition="web:2")
        await it.work()
        new = it.begin(it.coming()[0])
        await it.work(100)
        assert len(it.running()) == 2  # UNKNOWN is not healthy, however long it runs
        it.be(new, "HEALTHY")
        await it.work()
        assert it.running() == [it.records.tasks.get(new.arn)]

    run(tmp_path, body)


def test_an_unhealthy_task_is_replaced_before_it_is_stopped(tmp_path):
    async def body(it):
        it.records.definitions.put(a_definition(health=True))
        await it.steady(desiredCount=1)
        sick = it.be(it.running()[0], "UNHEALTHY")
        await it.work()
        assert len(it.running()) == 1
        (fresh,) = it.coming()
        it.be(it.begin(fresh), "HEALTHY")
        await it.work()
        assert [one.id for one in it.running()] == [fresh.id]
        assert it.runner.stopped[-1][::2] == (sick.id, "Task failed container health checks")
        assert f"(task {sick.id}) failed container health checks." in await it.story()

    run(tmp_path, body)


def test_unhealthy_tasks_of_a_deployment_trip_the_breaker_and_leave_the_old_ones_alone(tmp_path):
    async def body(it):
        it.records.definitions.put(a_definition(revision=2, health=True))
        await it.steady(desiredCount=4, deploymentConfiguration=BREAKER)
        kept = {one.id for one in it.running()}
        await it.update(taskDefinition="web:2")
        await it.work()
        for task in it.coming():
            it.be(it.begin(task), "UNHEALTHY")
        await it.work()
        assert {one.id for one in it.running()} == kept
        view = await it.describe()
        assert view["taskDefinition"].endswith("web:1")

    run(tmp_path, body)


def test_behind_a_load_balancer_a_task_is_healthy_when_its_targets_are(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1, loadBalancers=[BALANCER])
        old = it.running()[0]
        assert f"registered 1 targets in (target-group {GROUP})" in await it.story()
        await it.update(taskDefinition="web:2")
        await it.work()
        new = it.begin(it.coming()[0])
        await it.attachment.attach(new)
        await it.work(100)
        assert len(it.running()) == 2
        it.balancers.say(new.private_ip, "healthy")
        await it.work(1)
        assert [one.id for one in it.running()] == [new.id]
        assert it.runner.stopped[-1][0] == old.id

    run(tmp_path, body)


def test_a_target_is_unhealthy_only_after_the_grace_period(tmp_path):
    async def body(it):
        await it.create(desiredCount=1, loadBalancers=[BALANCER], healthCheckGracePeriodSeconds=60)
        await it.work()
        task = it.begin(it.coming()[0])
        await it.attachment.attach(task)
        it.balancers.say(task.private_ip, "unhealthy")
        await it.work(59)
        assert it.coming() == []
        await it.work(1)
        assert len(it.coming()) == 1
        fresh = it.begin(it.coming()[0])
        await it.attachment.attach(fresh)
        it.balancers.say(fresh.private_ip, "healthy")
        await it.work(1)
        assert it.runner.stopped[-1][::2] == (
            task.id,
            f"Task failed ELB health checks in (target-group {GROUP})",
        )

    run(tmp_path, body)


def test_old_targets_that_are_not_known_yet_do_not_go_at_once(tmp_path):
    """After a restart no target's health is known: nothing may be stopped for that."""

    async def body(it):
        await it.steady(desiredCount=3, loadBalancers=[BALANCER])
        await it.update(taskDefinition="web:2")
        for task in it.running():
            it.balancers.say(task.private_ip, "initial")
        await it.reopen()
        await it.work()
        assert len(of_revision(it, 1, it.running())) == 3

    run(tmp_path, body)


def test_a_task_leaves_when_its_target_has_drained(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1, loadBalancers=[BALANCER])
        task = it.running()[0]
        leaving = asyncio.ensure_future(it.attachment.detach(task))
        for _ in range(20):
            await asyncio.sleep(0)
        await it.store.commit()
        assert list(it.balancers.health(GROUP).values()) == ["draining"]
        assert not leaving.done()
        it.balancers.say(task.private_ip, "")
        await asyncio.wait_for(leaving, 5)
        story = await it.story()
        assert f"deregistered 1 targets in (target-group {GROUP})" in story
        view = await it.describe()
        draining = f"(service shop, taskSet {view['deployments'][0]['id']}) has begun draining connections on 1 tasks."
        assert draining in story
        await it.attachment.detach(task)  # harmless
        await it.attachment.gone(task)
        assert (await it.story()) == story

    run(tmp_path, body)


def test_what_a_crash_left_registered_is_deregistered(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1, loadBalancers=[BALANCER])
        task = it.crash(it.running()[0])
        await it.attachment.gone(task)
        assert list(it.balancers.health(GROUP).values()) == ["draining"]

    run(tmp_path, body)


# -- a client stops it -------------------------------------------------------------------------------------


def test_a_client_rolls_a_deployment_back(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1)
        view = await it.update(taskDefinition="web:2")
        arn = view["currentServiceDeployment"]
        assert await it.deployments.stop(CALLER, {"serviceDeploymentArn": arn}) == {
            "serviceDeploymentArn": arn
        }
        await it.flow()
        view = await it.describe()
        assert view["taskDefinition"].endswith("web:1")
        (found,) = (await it.deployments.describe(CALLER, {"serviceDeploymentArns": [arn]}))[
            "serviceDeployments"
        ]
        assert found["status"] == "ROLLBACK_SUCCESSFUL"
        error = await refused(it.deployments.stop(CALLER, {"serviceDeploymentArn": arn}))
        assert error.code == "ConflictException"

    run(tmp_path, body)


def test_a_client_aborts_a_deployment(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1)
        view = await it.update(taskDefinition="web:2")
        arn = view["currentServiceDeployment"]
        await it.deployments.stop(CALLER, {"serviceDeploymentArn": arn, "stopType": "ABORT"})
        await it.work(1000)
        assert it.coming() == []
        assert len(it.running()) == 1

    run(tmp_path, body)


def test_the_first_deployment_can_not_be_rolled_back(tmp_path):
    async def body(it):
        view = await it.create(desiredCount=1)
        arn = view["currentServiceDeployment"]
        error = await refused(it.deployments.stop(CALLER, {"serviceDeploymentArn": arn}))
        assert error.code == "ConflictException"
        error = await refused(
            it.deployments.continue_(CALLER, {"serviceDeploymentArn": arn, "hookId": "hook-1"})
        )
        assert error.code == "InvalidParameterException"
        error = await refused(
            it.deployments.continue_(CALLER, {"serviceDeploymentArn": arn + "x", "hookId": "hook-1"})
        )
        assert error.code == "ServiceDeploymentNotFoundException"

    run(tmp_path, body)


# -- when it is complete -----------------------------------------------------------------------------------


def test_a_deployment_is_complete_after_its_bake_time(tmp_path):
    async def body(it):
        await it.create(desiredCount=1, deploymentConfiguration={"bakeTimeInMinutes": 2})
        await it.flow(rounds=2)
        assert (await it.describe())["deployments"][0]["rolloutState"] == "IN_PROGRESS"
        await it.work(100)
        assert (await it.describe())["deployments"][0]["rolloutState"] == "IN_PROGRESS"
        await it.work(20)
        assert (await it.describe())["deployments"][0]["rolloutState"] == "COMPLETED"

    run(tmp_path, body)


@pytest.mark.parametrize(("cleanup", "state"), [("DEFERRED", "COMPLETED"), ("BLOCKING", "IN_PROGRESS")])
def test_an_early_success_needs_only_its_share_of_healthy_tasks(tmp_path, cleanup, state):
    async def body(it):
        early = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": cleanup}
        configuration = {"minimumHealthyPercent": 50, "earlySuccessCriteria": early}
        await it.steady(desiredCount=4, deploymentConfiguration=configuration)
        await it.update(taskDefinition="web:2")
        await it.work()
        for task in it.coming()[:2]:
            it.begin(task)
        await it.work()
        await it.work(SETTLE)
        assert (await it.describe())["deployments"][0]["rolloutState"] == state
        await it.flow()
        assert len(of_revision(it, 2, it.running())) == len(it.live()) == 4

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("threshold", "failures"),
    [
        ({"type": "COUNT", "value": 5}, 5),
        ({"type": "BOUNDED_PERCENT", "value": 100}, 10),
        ({"type": "BOUNDED_PERCENT", "value": 1}, 3),
        ({"type": "UNBOUNDED_PERCENT", "value": 10}, 1),
    ],
)
def test_the_breakers_threshold_can_be_said(tmp_path, threshold, failures):
    async def body(it):
        breaker = {"enable": True, "rollback": False, "thresholdConfiguration": threshold}
        await it.create(desiredCount=10, deploymentConfiguration={"deploymentCircuitBreaker": breaker})
        for number in range(failures):
            await it.work(1000)
            assert (await it.describe())["deployments"][0]["rolloutState"] == "IN_PROGRESS", number
            it.break_off(it.coming()[0])
        await it.work()
        assert (await it.describe())["deployments"][0]["rolloutState"] == "FAILED"

    run(tmp_path, body)


def test_failures_are_not_forgiven_when_the_breaker_says_so(tmp_path):
    async def body(it):
        breaker = {"enable": True, "rollback": False, "resetOnHealthyTask": False}
        await it.create(desiredCount=2, deploymentConfiguration={"deploymentCircuitBreaker": breaker})
        await it.work()
        good, bad = it.coming()
        it.begin(good)
        it.break_off(bad)
        await it.work(SETTLE)
        assert (await it.describe())["deployments"][0]["failedTasks"] == 1
        for _ in range(2):
            await it.work(1000)
            it.break_off(it.coming()[0])
        await it.work()
        assert (await it.describe())["deployments"][0]["rolloutState"] == "FAILED"

    run(tmp_path, body)
