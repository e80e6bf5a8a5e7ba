-- Manifests to the byte, by the key of their image (account, region, repository, digest).
CREATE TABLE ecr_manifests (
    image TEXT PRIMARY KEY,
    data  BLOB NOT NULL
);
