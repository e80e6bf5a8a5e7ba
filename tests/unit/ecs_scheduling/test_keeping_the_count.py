"""A service keeps its count: through crashes, restarts, scaling and deletion; with AWS's events."""

from scheduling_kit import ACCOUNT, REGION, SETTLE, run

from cumulo.services.ecs.model import StopCode, TaskStatus


def test_a_new_service_starts_its_tasks_and_reaches_a_steady_state(tmp_path):
    async def body(it):
        view = await it.create(desiredCount=3)
        assert (view["status"], view["desiredCount"], view["runningCount"]) == ("ACTIVE", 3, 0)
        await it.work()
        view = await it.describe()
        assert view["pendingCount"] == 3
        for task in it.coming():
            it.begin(task)
        await it.work()
        assert (await it.describe())["deployments"][0]["rolloutState"] == "IN_PROGRESS"
        await it.work(SETTLE)
        view = await it.describe()
        (deployment,) = view["deployments"]
        assert (view["runningCount"], view["pendingCount"]) == (3, 0)
        assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "COMPLETED")
        assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
        started, completed, steady = await it.story()
        assert started.startswith("has started 3 tasks: (task ")
        assert completed == f"(deployment {deployment['id']}) deployment completed."
        assert steady == "has reached a steady state."
        assert [one.name for one in it.told] == [
            "SERVICE_DEPLOYMENT_IN_PROGRESS",
            "SERVICE_DEPLOYMENT_COMPLETED",
            "SERVICE_STEADY_STATE",
        ]

    run(tmp_path, body)


def test_tasks_are_asked_for_as_the_service_says(tmp_path):
    async def body(it):
        await it.create(
            desiredCount=1,
            tags=[{"key": "team", "value": "blue"}],
            propagateTags="SERVICE",
            enableECSManagedTags=True,
        )
        await it.work()
        (request,) = it.launches.requests
        (deployment,) = (await it.describe())["deployments"]
        assert request.launch_type == "FARGATE"
        assert request.group == "service:shop"
        assert (request.started_by, request.deployment) == (deployment["id"], deployment["id"])
        assert request.tags == {
            "team": "blue",
            "aws:ecs:clusterName": "main",
            "aws:ecs:serviceName": "shop",
        }

    run(tmp_path, body)


def test_ten_tasks_are_asked_for_at_a_time(tmp_path):
    async def body(it):
        await it.create(desiredCount=25)
        await it.work()
        assert [one.count for one in it.launches.requests] == [10, 10, 5]
        assert len(it.coming()) == 25

    run(tmp_path, body)


def test_a_crashed_task_is_replaced(tmp_path):
    async def body(it):
        await it.steady()
        it.crash(it.running()[0])
        await it.work()
        assert (len(it.running()), len(it.coming())) == (1, 1)
        await it.flow()
        assert len(it.running()) == 2
        assert (await it.story())[-1] == "has reached a steady state."

    run(tmp_path, body)


def test_scaling_out_and_in(tmp_path):
    async def body(it):
        await it.steady(desiredCount=2)
        await it.update(desiredCount=5)
        await it.flow()
        assert len(it.running()) == 5
        view = await it.update(desiredCount=1)
        assert len(view["deployments"]) == 1
        await it.work()
        assert len(it.running()) == 1
        codes = {(code, reason) for _, code, reason in it.runner.stopped}
        deployment = view["deployments"][0]["id"]
        assert codes == {
            (
                StopCode.SERVICE_SCHEDULER_INITIATED,
                f"Scaling activity initiated by (deployment {deployment})",
            )
        }
        assert any(one.startswith("has stopped 4 running tasks: (task ") for one in await it.story())

    run(tmp_path, body)


def test_scaling_in_leaves_the_zones_even(tmp_path):
    async def body(it):
        await it.steady(desiredCount=6)
        await it.update(desiredCount=3)
        await it.work()
        assert sorted(one.availability_zone[-1] for one in it.running()) == ["a", "b", "c"]

    run(tmp_path, body)


def test_scaling_in_stops_what_does_not_run_yet_first(tmp_path):
    async def body(it):
        await it.steady(desiredCount=2)
        keep = {one.id for one in it.running()}
        await it.update(desiredCount=4)
        await it.work()
        await it.update(desiredCount=2)
        await it.work()
        assert {one.id for one in it.wanted()} == keep
        assert "stopped 2 pending tasks." in await it.story()

    run(tmp_path, body)


def test_a_protected_task_stays_until_its_protection_ends(tmp_path):
    async def body(it):
        await it.steady(desiredCount=2)
        for task in it.running():
            it.change(task, protected_until=it.clock.now() + 60)
        await it.update(desiredCount=0)
        await it.work()
        assert len(it.running()) == 2
        await it.work(60)
        assert it.running() == []

    run(tmp_path, body)


def test_after_a_kill_no_task_is_started_twice(tmp_path):
    async def body(it):
        await it.create(desiredCount=4)
        await it.work()
        await it.reopen()
        await it.work()
        assert it.launches.requests == []
        assert len(it.coming()) == 4
        await it.flow()
        assert len(it.running()) == 4

    run(tmp_path, body)


def test_a_kill_between_the_launch_and_its_event_starts_nothing_again(tmp_path):
    async def body(it):
        async def die():
            raise RuntimeError("killed")

        await it.create(desiredCount=2)
        it.launches.after = die
        await it.work()
        await it.reopen()
        await it.work()
        assert it.launches.requests == []
        assert len(it.coming()) == 2

    run(tmp_path, body)


def test_a_fault_of_one_service_does_not_stop_another(tmp_path):
    async def body(it):
        async def die():
            raise RuntimeError("broken")

        await it.create("one", desiredCount=1)
        it.launches.before = die
        await it.work()
        it.launches.before = None
        await it.create("two", desiredCount=1)
        await it.work()
        assert len(it.coming("two")) == 1
        assert it.coming("one") == []
        await it.work(10)
        assert len(it.coming("one")) == 1

    run(tmp_path, body)


def test_a_deleted_service_drains_and_is_inactive_then(tmp_path):
    async def body(it):
        await it.steady()
        view = await it.delete(force=True)
        assert (view["status"], view["desiredCount"]) == ("DRAINING", 0)
        await it.work()
        assert it.wanted() == []
        assert (await it.describe())["status"] == "DRAINING"
        it.end()
        await it.work()
        view = await it.describe()
        assert (view["status"], view["deployments"]) == ("INACTIVE", [])
        again = await it.create()
        assert again["status"] == "ACTIVE"
        assert again["events"] == []

    run(tmp_path, body)


def test_a_service_scaled_to_zero_is_steady_and_deleted_without_force(tmp_path):
    async def body(it):
        await it.steady(desiredCount=0)
        await it.delete()
        await it.work()
        assert (await it.describe())["status"] == "INACTIVE"

    run(tmp_path, body)


def test_a_task_stopped_by_a_client_is_replaced_and_counts_as_no_failure(tmp_path):
    async def body(it):
        await it.create(desiredCount=1)
        await it.work()
        (task,) = it.coming()
        it.change(
            task,
            desired_status="STOPPED",
            last_status=TaskStatus.STOPPED,
            stop_code=str(StopCode.USER_INITIATED),
        )
        await it.work()
        assert len(it.coming()) == 1
        assert (await it.describe())["deployments"][0]["failedTasks"] == 0

    run(tmp_path, body)


def test_arns_and_ids_have_awss_form(tmp_path):
    async def body(it):
        view = await it.create()
        assert view["serviceArn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/shop"
        kind, _, digits = view["deployments"][0]["id"].partition("/")
        assert (kind, len(digits), digits.isdigit()) == ("ecs-svc", 19, True)
        prefix = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
        assert view["currentServiceRevisions"][0]["arn"] == f"{prefix}:service-revision/main/shop/{digits}"
        assert view["currentServiceDeployment"].startswith(f"{prefix}:service-deployment/main/shop/")

    run(tmp_path, body)
