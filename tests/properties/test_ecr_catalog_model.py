"""The catalog against a model of plain dicts: whatever is done to it, also over restarts, both say the same."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.ecr.ecr_kit import Registry, list_manifest, sha

from cumulo.base.errors import AwsError

TAGS = st.sampled_from(["", "a", "b", "c"])


class Catalogs(RuleBasedStateMachine):
    """One repository; images are known by small numbers."""

    @initialize(immutable=st.booleans())
    def begin(self, immutable):
        self.folder = Path(tempfile.mkdtemp())
        self.it = Registry(self.folder)
        self.immutable = immutable
        self.images, self.children, self.tags = set(), {}, {}  # digests; digest -> digests; tag -> digest
        self.repository = self.do(self.it.create(mutability="IMMUTABLE" if immutable else "MUTABLE"))

    def do(self, awaitable):
        return asyncio.run(awaitable)

    def refused(self, awaitable):
        """The error's code, or empty."""
        try:
            self.do(awaitable)
        except AwsError as error:
            return error.code
        return ""

    def put(self, manifest, tag, children=()):
        digest = sha(manifest)
        code = self.refused(self.it.catalog.put_image(self.repository, manifest, tag=tag))
        if tag in self.tags and self.immutable:
            assert code == "ImageTagAlreadyExistsException"
        elif digest in self.images and (not tag or self.tags.get(tag) == digest):
            assert code == "ImageAlreadyExistsException"
        else:
            assert code == ""
            self.images.add(digest)
            self.children[digest] = set(children)
            if tag:
                self.tags[tag] = digest

    @rule(seed=st.integers(0, 4), tag=TAGS)
    def push(self, seed, tag):
        self.put(self.it.image(self.repository, str(seed)), tag)

    @precondition(lambda self: self.images)
    @rule(data=st.data(), tag=TAGS)
    def push_index(self, data, tag):
        chosen = data.draw(
            st.lists(st.sampled_from(sorted(self.images)), min_size=1, max_size=2, unique=True)
        )
        found = [self.it.catalog.image(self.repository, digest=digest) for digest in chosen]
        self.put(list_manifest(*found), tag, chosen)

    def parents(self, digest):
        return {one for one in self.images if digest in self.children[one]}

    def forget(self, digest):
        self.images.discard(digest)
        self.tags = {tag: found for tag, found in self.tags.items() if found != digest}

    @precondition(lambda self: self.images)
    @rule(data=st.data())
    def delete(self, data):
        chosen = data.draw(
            st.lists(st.sampled_from(sorted(self.images)), min_size=1, max_size=3, unique=True)
        )
        found = [self.it.catalog.image(self.repository, digest=digest) for digest in chosen]
        code = self.refused(self.it.catalog.delete(found))
        if any(self.parents(digest) - set(chosen) for digest in chosen):
            assert code == "ImageReferencedByManifestList"
            return
        assert code == ""
        for digest in chosen:
            self.forget(digest)

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def untag(self, data):
        tag = data.draw(st.sampled_from(sorted(self.tags)))
        digest = self.tags[tag]
        image = self.it.catalog.image(self.repository, tag=tag)
        code = self.refused(self.it.catalog.delete([image], tags=[tag]))
        last = list(self.tags.values()).count(digest) == 1
        if last and self.parents(digest):
            assert code == "ImageReferencedByManifestList"
            return
        assert code == ""
        del self.tags[tag]
        if last:
            self.forget(digest)

    @rule()
    def restart(self):
        self.do(self.it.reopen())

    @rule()
    def remove(self):
        code = self.refused(self.it.catalog.remove(self.repository))
        assert code == ("RepositoryNotEmptyException" if self.images else "")
        if not code:
            self.repository = self.do(self.it.create(mutability=self.repository.mutability))

    @rule()
    def remove_by_force(self):
        self.do(self.it.catalog.remove(self.repository, force=True))
        self.images, self.children, self.tags = set(), {}, {}
        self.repository = self.do(self.it.create(mutability=self.repository.mutability))

    @invariant()
    def both_say_the_same(self):
        shelf = self.it.catalog.shelf(self.repository)
        assert set(shelf.images) == self.images
        assert [one.digest for one in shelf.starting()] == sorted(self.images)
        assert {tag: one.digest for tag, one in shelf.tags.items()} == self.tags
        assert self.it.catalog.tags(self.repository) == sorted(self.tags)
        needed = set()
        for digest, image in shelf.images.items():
            manifest = json.loads(self.it.catalog.manifest(image))
            assert shelf.tags_of(digest) == sorted(tag for tag, found in self.tags.items() if found == digest)
            assert shelf.parents_of(digest) == self.parents(digest)
            if "layers" in manifest:
                needed |= {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
        assert shelf.blobs() == needed

    def teardown(self):
        if hasattr(self, "it"):
            self.do(self.it.close())
            shutil.rmtree(self.folder)


Catalogs.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestCatalogs = Catalogs.TestCase
