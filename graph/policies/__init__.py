"""Policies by name. A policy module is imported when it is asked for, so that heavy ones cost nothing unless used."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from rapidfuzz import process

from anomalyagent.configs.schema import ModelPrice, PolicySettings
from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.base import Decision, Policy

__all__ = ["POLICIES", "Decision", "Policy", "make_policy"]

POLICIES = {
    "expert": "anomalyagent.graph.policies.expert:ExpertPolicy",
    "chat": "anomalyagent.graph.policies.chat:ChatPolicy",
    "local": "anomalyagent.graph.policies.local:LocalPolicy",
    "scripted": "anomalyagent.graph.policies.scripted:ScriptedPolicy",
}
"""Name -> `module:Class`."""


def make_policy(settings: PolicySettings, prices: Mapping[str, ModelPrice] | None = None) -> Policy:
    """Build the policy that the settings name.

    Args:
        prices: of hosted models, for policies that ask one.
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
    try:
        kind: Any = getattr(importlib.import_module(module), name)
        policy: Policy
        if "prices" in inspect.signature(kind).parameters:
            policy = kind(settings.options, prices=prices or {})
        else:
            policy = kind(settings.options)
    except ModuleNotFoundError as error:
        raise PolicyError(
            f"policy {settings.name!r} needs the Python module {error.name!r}: pip install {error.name}"
        ) from error
    return policy
