import pytest
from tests.unit.apigateway.rest_kit import patch, plain, refused

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"


@pytest.fixture
def tree(cloud):
    return Tree(cloud)


class Tree:
    def __init__(self, cloud):
        self.client = cloud.client
        self.api_id, self.root = cloud.api()

    def add(self, part, parent=None):
        made = self.client.create_resource(restApiId=self.api_id, parentId=parent or self.root, pathPart=part)
        return made["id"]

    def refused(self, part, parent=None):
        return refused(
            self.client.create_resource,
            restApiId=self.api_id,
            parentId=parent or self.root,
            pathPart=part,
        )

    def update(self, resource_id, op, path, value=None):
        return plain(
            self.client.update_resource(
                restApiId=self.api_id, resourceId=resource_id, patchOperations=[patch(op, path, value)]
            )
        )

    def update_refused(self, resource_id, op, path, value=None):
        return refused(
            self.client.update_resource,
            restApiId=self.api_id,
            resourceId=resource_id,
            patchOperations=[patch(op, path, value)],
        )

    def paths(self):
        return [one["path"] for one in self.client.get_resources(restApiId=self.api_id)["items"]]


def test_resources_are_listed_by_path_and_without_methods_they_do_not_have(tree):
    pets = tree.add("pets")
    sub = tree.add("subpets", pets)
    items = tree.client.get_resources(restApiId=tree.api_id)["items"]
    assert items == [
        {"id": tree.root, "path": "/"},
        {"id": pets, "parentId": tree.root, "pathPart": "pets", "path": "/pets"},
        {"id": sub, "parentId": pets, "pathPart": "subpets", "path": "/pets/subpets"},
    ]


def test_methods_are_named_and_shown_whole_when_asked_for(tree, cloud):
    cloud.mock(tree.api_id, tree.root)
    named = tree.client.get_resource(restApiId=tree.api_id, resourceId=tree.root)
    assert named["resourceMethods"] == {"GET": {}}
    whole = tree.client.get_resource(restApiId=tree.api_id, resourceId=tree.root, embed=["methods"])
    assert whole["resourceMethods"]["GET"]["methodIntegration"]["type"] == "MOCK"


def test_a_new_name_changes_the_paths_of_all_below(tree):
    pets = tree.add("pets")
    tree.add("subpets", pets)
    assert tree.update(pets, "replace", "/pathPart", "dogs")["path"] == "/dogs"
    assert tree.paths() == ["/", "/dogs", "/dogs/subpets"]


def test_deleting_takes_all_below_along(tree):
    pets = tree.add("pets")
    sub = tree.add("subpets", pets)
    assert (
        tree.client.delete_resource(restApiId=tree.api_id, resourceId=pets)["ResponseMetadata"][
            "HTTPStatusCode"
        ]
        == 202
    )
    assert tree.paths() == ["/"]
    asked = refused(tree.client.delete_resource, restApiId=tree.api_id, resourceId=sub)
    assert asked == (MISSING, "Invalid Resource identifier specified")


def test_resources_move_but_never_below_themselves(tree):
    pets = tree.add("pets")
    sub = tree.add("subpets", pets)
    child = tree.add("pets", sub)
    assert tree.update_refused(child, "replace", "/parentId", tree.root) == (
        CONFLICT,
        "Another resource with the same parent already has this name: pets",
    )
    assert tree.update_refused(sub, "replace", "/parentId", child) == (BAD, "Resources cannot be cyclical.")
    assert tree.update(sub, "replace", "/parentId", tree.root)["path"] == "/subpets"
    assert tree.paths() == ["/", "/pets", "/subpets", "/subpets/pets"]
    assert tree.update_refused(sub, "replace", "/pathPart", "pets")[0] == CONFLICT
    assert tree.update_refused(sub, "replace", "/parentId", "nope")[0] == MISSING


def test_the_root_stays_what_and_where_it_is(tree):
    assert tree.update_refused(tree.root, "replace", "/pathPart", "x") == (
        BAD,
        "Root resource cannot update its pathPart.",
    )
    assert tree.update_refused(tree.root, "replace", "/parentId", "x") == (
        BAD,
        "Root resource cannot update its parentId.",
    )
    assert refused(tree.client.delete_resource, restApiId=tree.api_id, resourceId=tree.root)[0] == BAD


def test_the_sentences_name_the_paths_that_can_be_patched(tree):
    pets = tree.add("pets")
    assert tree.update_refused(pets, "replace", "/invalid", "x") == (
        BAD,
        "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]",
    )
    for op in ("remove", "add"):
        assert tree.update_refused(pets, op, "/pathPart", "x") == (
            BAD,
            f"Invalid patch path  '/pathPart' specified for op '{op}'. Please choose supported operations",
        )


def test_only_one_of_several_siblings_is_variable(tree):
    tree.add("{proxy+}")
    assert tree.refused("{id}") == (
        BAD,
        "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed",
    )
    parent = tree.add("parent")
    child = tree.add("{child}", parent)
    tree.add("{proxy+}", child)
    assert tree.paths()[-2:] == ["/parent/{child}/{proxy+}", "/{proxy+}"]


def test_nothing_lies_below_a_greedy_variable(tree):
    greedy = tree.add("{proxy+}")
    for part in ("child", "{child}"):
        assert tree.refused(part, greedy) == (
            BAD,
            "Cannot create a child of a resource with a greedy path variable: {proxy+}",
        )
    parent = tree.add("parent")
    tree.add("child", parent)
    assert tree.update_refused(parent, "replace", "/pathPart", "{all+}")[0] == BAD


@pytest.mark.parametrize("part", ["/users", "users/", "users/{user_id}", "us{er", "{}", "{a", "", "a b", "é"])
def test_what_is_no_path_part_is_refused(tree, part):
    code, message = tree.refused(part)
    assert code == BAD
    assert message.startswith("Resource's path part only allow")


@pytest.mark.parametrize("part", ["users", "{user_id}", "{proxy+}", "user_09", "good-dog", "v1.0", "a:b"])
def test_what_is_a_path_part_is_taken(tree, part):
    tree.add(part)
    assert tree.paths()[-1] == f"/{part}"


def test_a_parent_or_an_api_that_is_not_there(tree):
    assert tree.refused("x", "nope") == (MISSING, "Invalid Resource identifier specified")
    asked = refused(tree.client.create_resource, restApiId="nope", parentId="x", pathPart="y")
    assert asked == (MISSING, "Invalid Resource identifier specified")


def test_an_api_has_so_many_resources_and_not_one_more(tree):
    for at in range(299):
        tree.add(f"r{at}")
    code, message = tree.refused("more")
    assert code == "LimitExceededException"
    assert "Maximum number of resources for this API has been reached" in message
