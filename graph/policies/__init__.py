"""Policies by name, or by `module:Class` of another package. A policy module is imported when it is asked for, so that heavy
ones cost nothing unless used."""

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
    target = POLICIES.get(settings.name, settings.name if ":" in settings.name else None)
    if target is None:
        nearest = process.extractOne(settings.name, list(POLICIES))
        raise PolicyError(
            f"unknown policy {settings.name!r}; known: {', '.join(POLICIES)}, or module:Class of your own. Set policy.name in "
            f"your config{f', e.g. to {nearest[0]!r}' if nearest else ''}."
        )
    try:
        kind = _load(settings.name, target)
        if "prices" in inspect.signature(kind).parameters:
            return kind(settings.options, prices=prices or {})
        return kind(settings.options)
    except ModuleNotFoundError as error:
        raise PolicyError(
            f"policy {settings.name!r} needs the Python module {error.name!r}: pip install {error.name}"
        ) from error
    except ValueError as error:  # how another package's policy refuses an option
        raise PolicyError(f"policy {settings.name!r} refuses its options: {error}.") from error


def _load(policy: str, target: str) -> Any:
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        raise PolicyError(f"policy {policy!r}: module {module!r} has no {name!r}. Name its class: module:Class.") from None
    except ModuleNotFoundError as error:
        if policy in POLICIES or error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise PolicyError(
            f"policy {policy!r}: there is no module {error.name!r}. Install it, or put its folder on PYTHONPATH."
        ) from error
