"""User data is read for what it says to the ECS agent, and never run."""

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.instances import AgentSettings
from cumulo.services.ec2.user_data import settings_of


def read(text: str) -> AgentSettings | None:
    return settings_of(base64.b64encode(text.encode()).decode())


FORMS = {
    "echo": "#!/bin/bash\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n",
    "echo quoted": '#!/bin/bash\necho "ECS_CLUSTER=web" > /etc/ecs/ecs.config',
    "no spaces": "#!/bin/bash\necho ECS_CLUSTER=web>>/etc/ecs/ecs.config",
    "quoted path": '#!/bin/bash\necho "ECS_CLUSTER=web" >> "/etc/ecs/ecs.config"',
    "echo -e": '#!/bin/bash\necho -e "ECS_CLUSTER=web\\nECS_X=1" >> /etc/ecs/ecs.config',
    "tee": "#!/bin/bash\necho ECS_CLUSTER=web | sudo tee -a /etc/ecs/ecs.config > /dev/null",
    "cat first": "#!/bin/bash\ncat <<'EOF' >> /etc/ecs/ecs.config\nECS_CLUSTER=web\nEOF\n",
    "cat last": "#!/bin/bash\ncat > /etc/ecs/ecs.config <<EOF\nECS_CLUSTER=web\nEOF\n",
    "cat tabs": "#!/bin/bash\ncat <<-EOF > /etc/ecs/ecs.config\n\tECS_CLUSTER=web\n\tEOF\n",
    "cat to tee": "#!/bin/bash\ncat <<EOF | tee /etc/ecs/ecs.config\nECS_CLUSTER=web\nEOF\n",
    "tee with a document": "#!/bin/bash\nsudo tee /etc/ecs/ecs.config <<EOF\nECS_CLUSTER=web\nEOF\n",
    "printf": "#!/bin/bash\nprintf 'ECS_CLUSTER=%s\\n' web >> /etc/ecs/ecs.config",
    "group": '#!/bin/bash\n{\n  echo "ECS_CLUSTER=web"\n  echo "ECS_X=1"\n} >> /etc/ecs/ecs.config\n',
    "subshell": "#!/bin/bash\n(echo ECS_CLUSTER=web; echo ECS_X=1) > /etc/ecs/ecs.config\n",
    "variable": "#!/bin/bash\nNAME=web\necho ECS_CLUSTER=$NAME >> /etc/ecs/ecs.config",
    "variable for the path": "#!/bin/bash\nF=/etc/ecs/ecs.config\necho ECS_CLUSTER=web >> $F",
    "document with a variable": "#!/bin/bash\nexport N=web\ncat <<EOF >> /etc/ecs/ecs.config\nECS_CLUSTER=${N}\nEOF\n",
    "if": "#!/bin/bash\nif true; then echo ECS_CLUSTER=web >> /etc/ecs/ecs.config; fi",
    "last wins": "#!/bin/bash\necho ECS_CLUSTER=old >> /etc/ecs/ecs.config\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config",
    "overwritten": "#!/bin/bash\necho ECS_CLUSTER=old > /etc/ecs/ecs.config\necho ECS_CLUSTER=web > /etc/ecs/ecs.config",
    "after others": "#!/bin/bash\nyum update -y # it's slow\necho hello\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config # done",
    "windows ends": "#!/bin/bash\r\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\r\n",
    "chained": "#!/bin/bash\nmkdir -p /etc/ecs && echo ECS_CLUSTER=web >> /etc/ecs/ecs.config",
    "cloud-config files": "#cloud-config\nwrite_files:\n  - path: /etc/ecs/ecs.config\n    content: |\n      ECS_CLUSTER=web\n",
    "cloud-config command": "#cloud-config\nruncmd:\n  - echo ECS_CLUSTER=web >> /etc/ecs/ecs.config\n",
    "cloud-config words": "#cloud-config\nbootcmd:\n  - [sh, -c, 'echo ECS_CLUSTER=web >> /etc/ecs/ecs.config']\n",
    "mime": (
        'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n--b\n'
        "Content-Type: text/cloud-config\n\n#cloud-config\npackages: [x]\n--b\n"
        "Content-Type: text/x-shellscript\n\n#!/bin/bash\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n--b--\n"
    ),
    "bottlerocket": '[settings.ecs]\ncluster = "web"\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_the_cluster_is_found_in_every_usual_form(form):
    found = read(FORMS[form])
    assert found is not None
    assert found.cluster == "web"


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/bash\necho ECS_CLUSTER=web",
        "#!/bin/bash\necho ECS_CLUSTER=web >> /tmp/other",
        "#!/bin/bash\n# echo ECS_CLUSTER=web >> /etc/ecs/ecs.config",
        "#!/bin/bash\necho hello >> /etc/ecs/ecs.config",
        "#cloud-config\npackages: [x]",
        "",
        "'",
        '[settings.kernel]\nx = "y"\n',
    ],
)
def test_what_is_not_written_to_the_config_says_nothing(text):
    assert read(text) is None


def test_everything_that_the_agent_takes_from_it_is_read():
    found = read(
        "#!/bin/bash\ncat <<'EOF' >> /etc/ecs/ecs.config\n"
        'ECS_CLUSTER=web\nECS_INSTANCE_ATTRIBUTES={"rack": "a1", "empty": null}\n'
        "ECS_RESERVED_MEMORY=256\nECS_ENABLE_SPOT_INSTANCE_DRAINING=true\n"
        'ECS_CONTAINER_INSTANCE_TAGS={"team": "x"}\nECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM=ec2_instance\nEOF\n'
    )
    assert found == AgentSettings(
        cluster="web",
        attributes={"rack": "a1", "empty": ""},
        tags={"team": "x"},
        reserved_mib=256,
        spot_draining=True,
        propagate_tags=True,
    )


def test_json_in_single_quotes_survives_echo():
    found = read('echo \'ECS_INSTANCE_ATTRIBUTES={"rack":"a"}\' >> /etc/ecs/ecs.config')
    assert found is not None
    assert found.attributes == {"rack": "a"}


def test_settings_without_a_cluster_leave_it_open():
    found = read("echo ECS_RESERVED_MEMORY=64 >> /etc/ecs/ecs.config")
    assert found == AgentSettings(reserved_mib=64)


def test_bottlerocket_settings_are_read():
    found = read(
        '[settings.ecs]\ncluster = "web"\nenable-spot-instance-draining = true\n\n'
        '[settings.ecs.instance-attributes]\nrack = "a"\n'
    )
    assert found == AgentSettings(cluster="web", attributes={"rack": "a"}, spot_draining=True)


def test_compressed_user_data_is_read():
    data = gzip.compress(FORMS["echo"].encode())
    found = settings_of(base64.b64encode(data).decode())
    assert found is not None
    assert found.cluster == "web"


@given(st.text(max_size=300))
def test_any_text_is_read_without_a_fault(text):
    read(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_a_fault(data):
    settings_of(base64.b64encode(data).decode())


@given(
    st.lists(
        st.sampled_from(
            [
                "echo",
                "ECS_CLUSTER=a",
                ">>",
                ">",
                "/etc/ecs/ecs.config",
                "|",
                "tee",
                "{",
                "}",
                "(",
                ")",
                ";",
                "\n",
                "<<E",
                "E",
                "'",
                '"',
                "#",
            ]
        ),
        max_size=30,
    )
)
def test_any_shell_is_read_without_a_fault(words):
    read(" ".join(words))
