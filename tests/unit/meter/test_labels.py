"""The tags on a bill are those that the owner of a resource knows."""

from cumulo.meter.labels import Labels

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/1"


def test_the_owner_is_the_service_of_the_arn_or_else_of_the_usage() -> None:
    asked = []

    def known(name: str):
        def tags_of(account: str, region: str, resource: str) -> dict[str, str]:
            asked.append((name, account, region, resource))
            return {"of": name}

        return tags_of if name != "logs" else None

    labels = Labels(known)
    assert labels.tags_of("1", "eu-west-1", "ec2", "i-1") == {"of": "ec2"}
    assert labels.tags_of("1", "eu-west-1", "ec2", TASK) == {"of": "ecs"}  # a task's address
    assert labels.tags_of("1", "eu-west-1", "logs", "account") == {}
    assert asked == [("ec2", "1", "eu-west-1", "i-1"), ("ecs", "1", "eu-west-1", TASK)]
