"""Batch inference."""

from winelab.checks.authoring import given

RIGHT_WAYS = ()
