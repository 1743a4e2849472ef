"""Policies by name. A policy module is imported when it is asked for, so that heavy ones cost nothing unless used."""

import importlib

from rapidfuzz import process

from anomalyagent.configs.schema import PolicySettings
from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.base import Decision, Policy

__all__ = ["POLICIES", "Decision", "Policy", "make_policy"]

POLICIES = {
    "expert": "anomalyagent.graph.policies.expert:ExpertPolicy",
    "scripted": "anomalyagent.graph.policies.scripted:ScriptedPolicy",
}
"""Name -> `module:Class`."""


def make_policy(settings: PolicySettings) -> Policy:
    """Build the policy that the settings name.

    Raises:
        PolicyError: no such policy, or its options cannot be used.
    """
    target = POLICIES.get(settings.name)
    if target is None:
        nearest = process.extractOne(settings.name, list(POLICIES))
        raise PolicyError(
            f"unknown policy {settings.name!r}; known: {', '.join(POLICIES)}. Set policy.name in your config"
            f"{f', e.g. to {nearest[0]!r}' if nearest else ''}."
        )
    module, _, name = target.partition(":")
    policy: Policy = getattr(importlib.import_module(module), name)(settings.options)
    return policy
