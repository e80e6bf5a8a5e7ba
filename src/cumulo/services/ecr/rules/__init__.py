"""ECR's rules: what holds for a registry as a whole.

service.py      Rules: puts them together; hooks that the registry and the catalog call
templates       settings of repositories that come into being by themselves
replication     which pushes go where (plan.py decides), and replicator.py, which carries them out
pull_through    cache rules (upstreams.py knows the upstreams), and cache.py, which fetches
registry_policies, settings, scanning, signing, pull_times   small nouns of a registry
events.py       what EventBridge hears
"""
